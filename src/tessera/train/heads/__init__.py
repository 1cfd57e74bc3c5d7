"""Heads on a vision encoder, trained and measured: what a picture shows, and what every pixel shows.

Read `labelled`, `rows` (features that are computed once), `probe`, `few_shot`; then `dense/`.
The one loop of `train` is made for chat models: its data are conversations in packs, its learner is opened
and saved by families, its optimiser is AdamW. A head has labelled pictures, a file of a few megabytes and, as
published, SGD; so it has a small loop of its own. Rules, layer decay and schedules are those of `update`.
"""
