"""Vision encoders: pixels of square tiles to states.

`encoder` is what every one offers, `internvit` the one of InternVL. Knows nothing of what becomes of states.
"""
