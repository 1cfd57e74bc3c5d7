"""Small benchmarks of drawn pictures, in the files of published ones: every form of data tried end to end.

Read `forms` (how rows are written), `asked` (which questions), then `benchmarks` (each one's files, and the
declaration beside them). Answers are known, so the shipped scale model has something to get right.
"""
