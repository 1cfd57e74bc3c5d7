"""The engine's inside: many requests on their way through one model, one flat step after the other.

Read `sequence` (a request), `blocks` (the cache's pages, shared by content), `pictures` (features of tiles),
`scheduler` (who takes part in a step), `runner` (the model's side of it), `answering` (scores to tokens),
`loop` (`step()`), `ticket` (what a caller holds), `waking` and `service` (a thread that steps). It must not
know conversations, pixels or the network.
"""
