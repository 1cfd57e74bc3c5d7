"""The scale model: all of the series' training in miniature, on drawn pictures, on a laptop.

In order: `tokenizer.py`, `vision.py` (contrastive start), `text.py` (the decoder's start),
`internvl_2_5.py` (connector, ViT, everything), `shipped.py` (the same, longer), `ship.py` (a run becomes an
asset). `fine_tune.py` goes on with your own pictures, `reasoning.py` with questions in steps, `aligned.py`
with pairs of its answers to these, `critic.py` with their steps; `demo.py` measures a run while it goes on.
"""
