"""Files of a benchmark to its questions.

Read `item` (what a question is), then the readers of the forms.
"""
