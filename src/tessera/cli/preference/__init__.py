"""The verbs of `tessera prefer`: score sampled responses, pair them.

Only arguments and printing stand here; the work is done in `align.preferences`.
"""
