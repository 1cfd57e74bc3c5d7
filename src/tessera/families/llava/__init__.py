"""InternVL-Chat 1.0 in LLaVA's form: every patch is a token, one square a picture, Vicuna's way of talking.

Read `config`, `prompt`, `official` (the published layout) with `tower` (where its ViT is), `weights` (its
names), `catalogue`. Knows no tensors.
"""
