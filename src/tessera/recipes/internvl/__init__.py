"""What the papers and scripts of the series say about training, and recipes made of it.

Read `stage` (what is known of one), `v2_5` (a generation as a function of size), `build` (a recipe of it).
Tables here need no torch; `build` alone knows `train`.
"""
