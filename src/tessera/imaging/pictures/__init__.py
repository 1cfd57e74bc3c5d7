"""How picture files are read: what may be chosen, what somebody may give, and what reading leaves out.

Read `reading` (the choices), `sources` (paths, addresses, base64, bytes), then `depth`, `png_chunks` and
`losses`. `imaging.decode` puts them together. Must not know tiles, text or records.
"""
