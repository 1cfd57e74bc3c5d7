"""Files wherever they are: `places` (names), `remote` (bytes by range or copy), `cache`, `mapping`.

It must not know what is inside: records, forms and media are read by the rooms beside it.
"""
