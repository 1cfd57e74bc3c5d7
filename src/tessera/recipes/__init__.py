"""Recipes that ship with the package: values with types, from functions that one can copy and change.

Read `scale_model/internvl_2_5.py` first, the published three stages in miniature, then `internvl/`: what the
series published, a generation as a function of size. `offer` and `shelf` list and find both; `copying` writes
one to a file, `rehearsal` makes one small. `tuning` chooses one for the user's own model and data.

A recipe says what a run is. It must not know how a run is driven or shown: that is for `train` and `cli`.
"""
