"""Published training of Mono-InternVL: `delta_tuning` has its three stages and the tuning on instructions.

Made into recipes by `recipes.internvl.build`, listed by `recipes.internvl.table`.
"""
