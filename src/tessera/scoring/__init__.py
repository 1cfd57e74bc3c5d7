"""Answers to numbers: pure functions of text.

Read `extract` (text to a value), then `exact` and `boxes` (values to scores). `reasoned/` judges responses
that reason and end in an answer, by published rules. Must not know where an answer comes from.
"""
