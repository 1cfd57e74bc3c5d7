"""Mono-InternVL: no ViT, a patch embedding alone, and a decoder with experts for the tokens of pictures.

Read `config`, then `official` (the published layout) and `catalogue` (its releases). What it shares with
InternVL, names of weights among it, it takes from that folder. Knows no tensors.
"""
