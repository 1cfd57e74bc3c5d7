"""Pictures and clips to tiles, and their numbers of tiles without decoding: `cutter`.

Must not know templates, ids or models.
"""
