"""Verbs of vision encoders on their own: `features`, `probe` and `segment`.

Read `encoder` (options that name one), then the verbs. Arguments and printing only.
"""
