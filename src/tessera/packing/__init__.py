"""Records to packs: which record comes next, how long it is, which samples share a pack, and the loader.

Read along the way of a record: `config` (the one settings value), `mix` (which record comes next), `index`
and `measure` (how long it is, before any pixel), `planning/` (which samples share a pack, which rank gets
it), `samples/` (a record as ids, weights and tiles), `decode`, `pack`, and `loader`, which ties all of them.

It must not know models: tokens per tile come from the encoder by value, work in FLOPs from the caller.
"""
