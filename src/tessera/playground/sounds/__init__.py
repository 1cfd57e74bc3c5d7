"""Sounds with known answers: `tones` makes them, `beeps` asks about them, also beside a picture, `spoken` has
digits said by espeak-ng where that is installed.

Must not know files, records or models.
"""
