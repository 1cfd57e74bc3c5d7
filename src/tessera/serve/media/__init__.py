"""Pictures and clips that a request names: inline, below one folder, or on the public web.

Read `reader` (what a message may name), `remote` (fetching, guarded), `addresses` (what is public), `files`
(where clips lie while they are read), `check` (sizes before any pixel). It must not know requests or models.
"""
