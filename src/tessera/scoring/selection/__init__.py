"""One of several answers to a question: those that mean the same found, voted on, or the best scored taken.

Read `sameness` and `options` (which answers are one), `rule` (what can be asked for), `choosing` (candidates
to the chosen one), `responses` (texts to the chosen one), `curve` (how often it is right, by their number).
Must not know models.
"""
