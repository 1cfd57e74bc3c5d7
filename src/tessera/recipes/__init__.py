"""Recipes that ship with the package: typed Python functions, each with a card in its first docstring.

Read `scale_model/internvl_2_5.py` first, the published three stages in miniature; the other recipes are short
beside it. `shelf.py` finds recipes by name or path. `scale_model/demo.py` measures a run while it goes on;
`tokenizer.py` and `ship.py` made what lies in `assets`.

A recipe says what a run is. It must not know how a run is driven or shown: that is for `train` and `cli`.
"""
