"""Sounds in the engine: `places` (where those of one prompt stand), `hearing` (their features, once each).

Must not know files, samples or how answers are chosen.
"""
