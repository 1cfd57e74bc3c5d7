"""Answers with link tokens, and the masks that their states shall become.

Read `targets` (masks of a batch), `losses`, `loader`, `objective`. Must not know decoders of other people.
"""
