"""Mathematical questions with a single right answer, judged by rules where the harnesses ask a model.

Read `mathvista`, `values` (equal by value), `standard`, `letters_or_values` and `olympiad`, then `figures`.
An answer that a harness would hand to a judge has the part `unsure`.
Must not know files, prompts or judges; peers' slips are told on docs/facts/evaluation.md.
"""
