"""Weights of link tokens: one file beside the model's own, opened and written with it.

Read `weights`. Must not know what decoders do.
"""
