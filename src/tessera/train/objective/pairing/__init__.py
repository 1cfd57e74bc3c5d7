"""The pair of 1.0 in training: contrast, then three tasks in one pass, then retrieval.

Read `samples` (a picture with its caption, drawn or in files), `batches`, `losses` and `gathering` (over
processes), `learner`, then the objectives: `first`, `second`, `retrieval`. It must not know the loop.
"""
