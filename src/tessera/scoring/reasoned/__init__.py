"""Responses that reason and end in an answer: where the answer stands, and whether it is right.

Read `extraction` (a response to its answer), `judging` (answers to right or wrong), `datasets` (which modes a
data set is judged by), then the modes: `measures`, `vqa`, `expression` with `values`, and `package`.
Must not know files, prompts' wording or models. The rules are on docs/facts/preferences.md.
"""
