"""Predictions in the files of other harnesses, so that their scorers read ours, and ours theirs.

`vlmevalkit` is a table a data set and model, `lmms_eval` a line a question beside a file of results.
It must not know how predictions come about or are scored.
"""
