"""Yes or no: what an answer says, and figures of many answers.

Read `said` (rules), `scorers`, then `figures` (MME, POPE, HallusionBench, AMBER, yes-bias of any).
Must not know files, prompts or benchmarks; peers' slips are told on docs/facts/evaluation.md.
"""
