"""Whisper's encoder: log-mel spectrograms to features, and the MLP that takes them to the decoder's width.

Read `config` (sizes, and how many tokens a sound becomes: the one place), then `whisper`, then `connector`.
Knows no files, no samples and nothing of what becomes of the features.
"""
