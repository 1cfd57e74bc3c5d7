"""The verbs of `tessera prefer`: sample responses, score them, pair them; or end them blind (dropout).

Only arguments and printing stand here; the work is done in `align`, and asking in `serving.answering`.
"""
