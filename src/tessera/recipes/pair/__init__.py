"""Recipes of InternVL 1.0's pair: the published stages, and a toy that runs through both on a laptop.

Read `scale_pair`, then `stage_1`, `stage_2` and `retrieval`, which hold the published values; `published` is
what these share.
"""
