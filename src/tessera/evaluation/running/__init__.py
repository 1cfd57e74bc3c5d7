"""A benchmark from its questions to its figures.

Read `asking` (questions to requests), `grading` (replies to verdicts), then `folder` (what a run leaves).
Who answers the requests is not known here.
"""
