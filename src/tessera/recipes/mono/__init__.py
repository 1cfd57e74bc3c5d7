"""Training of Mono-InternVL: `delta_tuning` has its published stages, `scale_model` their miniature.

The stages are made into recipes by `recipes.internvl.build` and listed by `recipes.internvl.table`.
"""
