"""Answers to numbers: pure functions of text.

Benchmarks: `verdict` (what a scorer is given and says), `registry` (by name), `aggregates`, then a room for
each kind of answer: `texts`, `captions`, `choices`, `yes_no`, `grounding`, `maths`, `judged`.
Drawn tasks: `extract` (text to a value), then `exact` and `boxes` (values to scores). `reasoned/` judges
responses that reason and end in an answer, by published rules. Must not know where an answer comes from.
"""
