"""Training: a recipe of stages runs through one loop, and a run that was killed goes on to the last digit.

Read `recipe` (what a run is), `objective/` (what a stage learns from and minimises), `setup` (from a recipe
to objects), `loop`, `stepping` and `step` (one optimizer step; `unread` reads figures later), `keeping` (what
goes to the disk), `update/` (what is trained, how), then `parallel/`, `state/`, `watch/`, and `replay`.

The loop knows no class of model and no kind of objective. Nothing here knows the engine: who wants to
evaluate inside a run passes a hook.
"""
