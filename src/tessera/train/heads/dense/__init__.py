"""Segmentation: a class for every pixel (docs/facts/backbone.md).

Read `masked` (pictures with labels), `views` (what is learned from), `settings`, `run` (the steps), `slide`
(windows over a picture), `measure` and `saved`.
"""
