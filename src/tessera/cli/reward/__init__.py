"""The verbs of `tessera prm`: build data for a process reward model, score responses with one, evaluate one.

Only arguments and printing stand here; the work is done in `align.process` and `align.critics`.
"""
