"""Training: a recipe of stages runs through one loop, and a run that was killed goes on to the last digit.

Read `recipe` (what a run is), `objective/` (what a stage learns from and minimises), `setup` (from a recipe
to objects), `loop` and `step` (one optimizer step), `update/` (what is trained, how), then `parallel/`,
`state/` and `watch/`.

The loop knows no class of model and no kind of objective. Nothing here knows the engine: who wants to
evaluate inside a run passes a hook.
"""
