"""A recipe made to be copied: `tessera recipes --copy forkme mine.py`.

It knows nothing of its own: every field that papers change stands in it once, with what it does.
"""
