"""What a score hides: loops, bias to yes, the order of options, questions that need no picture or were seen.

Read `replies` (loops, empty and cut-off answers), `yes_bias`, `option_order` and `blind` (questions asked
anew), `summary` (all of a run), then `pictures` and `contamination` (what stands in the training data).
Figures are aggregates, so `comparing.intervals` tells how sure they are. Must not know models or files.
"""
