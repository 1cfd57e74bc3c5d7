"""Folders of contrastive pairs, read and written in their published layout, which is the only one.

Read `loading`, then `saving`. It must not know pictures, texts or training.
"""
