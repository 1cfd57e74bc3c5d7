"""Alignment: from questions with known answers to pairs of responses, of which one is to be preferred.

Read `prompts` (questions to prompts that ask for reasoning), `asking` (prompts to requests, answers to
responses), then `preferences/` (responses to pairs) and `critics/` (responses to scores).
Only `cli` and `recipes` may import this room; right and wrong is decided in `scoring`.
"""
