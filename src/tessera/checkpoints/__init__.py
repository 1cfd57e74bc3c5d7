"""Files to weights and back: open, check, save, convert, in every layout that a family declares.

Read `description` (what a folder says), `weights` (keys and shapes), `load`, `fill`, `save`; `files/` has
shards and views, `conversion/` writes another layout with proof. `placement` divides a model over devices,
`surgery` moves parts, `hub` turns names into folders. Knows no family by name and no prompt.
"""
