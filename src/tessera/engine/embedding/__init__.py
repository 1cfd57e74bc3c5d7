"""Pictures and texts in one space: to find one by the other, and to name what a picture shows.

Read `embedder` (what a contrastive pair can do). It must not know files of results, nor how a pair is built.
"""
