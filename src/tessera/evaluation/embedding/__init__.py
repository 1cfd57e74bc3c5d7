"""Measures of models of pictures and texts in one space: zero-shot accuracy and recall.

Read `folders` (a folder a class), `labels`, `pairs` (pictures and their captions in published files), then
`measures`. It must not know how a model is built, nor how figures are printed.
"""
