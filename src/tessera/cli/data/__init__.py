"""The verbs of `tessera data`: check, preview, pack, filter and build training data.

Read `input` first: what all of them take; `tables` prints what a survey found. Only arguments and printing
stand here; the work is done in curation, packing and annotations.
"""
