"""How sure figures are, how two runs differ, and pages to look through both.

Read `resampling` (draws of questions) and `chance` (p values), `intervals` (of one run), `differences` (of
two), `stored` (a run's folder), `matching` and `comparison` (two of them), then the pages and `explain` (one
answer). Must not know how a run is made: it reads what a run leaves.
"""
