"""How well pictures and texts find each other, and how often the nearest class is the right one.

Read `recall` (queries with positives among the best k), then `classes` (acc1, acc5, recall of each class).
Pure: it gets numbers of what was found, and must not know models, files or vectors.
"""
