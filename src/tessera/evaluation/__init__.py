"""How good a model is: held-out questions with known answers, graded, counted and reported.

Read `tasks` (which questions), then `runner` (ask, grade, add up), `interval` (how sure a share is) and
`report` (the figures handed to room `pages`).
This room does not know training: a run's losses and packs reach the report as plain values.
"""
