"""Critics: how good a response is, from 0 (wrong) to 1 (right), told by a model that reads it.

Read `critic` (what a critic is), `settings`, `written` (talks as ids), `streams` (ids to scores), `process`
(the critic); for files `items`, `journal`, `rating`, then `responses` and `benchmark`.
Must not know where responses come from, or what is done with a score.
"""
