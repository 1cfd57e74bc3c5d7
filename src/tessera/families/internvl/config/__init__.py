"""InternVL's published config files: `official` (OpenGVLab) and `transformers`.

`section` is what both share. Each reads a folder into a member and writes one. Knows no weights.
"""
