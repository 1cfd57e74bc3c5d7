"""Everything that differs between architectures and their members: one folder a family.

Read `architecture` (what a folder declares), `family` (one member), `registry` `catalogue` (finding them),
`keymap` (how key tables are written); then `internvl/` as the example. `decoders/` has what families share of
their language models. Knows no weights and no files but configs; nothing above knows a family's name.
"""
