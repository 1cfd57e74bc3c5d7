"""Mono-InternVL: no ViT, a patch embedding alone, and a decoder with experts for the tokens of pictures.

Read `config`, then `official` (the published layout), `weights` (its names), `catalogue` (its releases).
What it shares with InternVL it takes from that folder. Knows no tensors.
"""
