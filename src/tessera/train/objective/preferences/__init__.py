"""What preference training is made of, below its objective.

Read `losses`, `reference` (what answers are compared with), `table` (how that is kept), then `figures`. It
must not know the loop.
"""
