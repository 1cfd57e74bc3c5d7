"""Options with letters: which one an answer means.

Read `pick` (what a rule says), then the rules: `first_sign`, `by_prefix`, `inferred`, `ranked`, `mmmu`; then
`scorers` and `figures`. Open answers of MMMU are in `open_answers`.
Must not know files, prompts or benchmarks; peers' slips are told on docs/facts/evaluation.md.
"""
