"""Masks of pictures: `rle` reads and writes COCO's run-length code, `overlay` lays them over a picture.

Must not know where masks come from.
"""
