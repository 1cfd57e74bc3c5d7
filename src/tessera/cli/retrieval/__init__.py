"""Verbs for models of pictures and texts in one space: `classify` and `retrieve`.

Read `pair_model` (what opens one), then the verbs. Arguments and printing only.
"""
