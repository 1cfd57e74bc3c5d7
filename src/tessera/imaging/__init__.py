"""Pictures and clips to uint8 tiles.

Read in this order: `grid` (how many tiles, by sizes alone), `cost` (what that takes), `pictures/` (what may
be given and chosen), `decode` (files to RGB, with limits), `tiles` (RGB to tiles), `frames` (which frames
of a clip), `video` (their pixels); `augment` re-encodes, `montage` shows a cut. `fast_resize` fences the
hand-written resize in. Must not know text, tokens, records or devices.
"""
