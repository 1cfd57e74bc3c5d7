"""Answers to numbers: pure functions of text.

Read `extract` (text to a value), then `exact` and `boxes` (values to scores). Must not know where an answer
comes from.
"""
