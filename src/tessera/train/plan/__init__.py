"""What a run will take, before a weight is read: memory part by part, FLOPs, time, and what to change.

Read `flops`, then `ledger` (tensors without memory, and who holds what), `trial` (one real step on them),
`batch` (which packs), `memory` and `stage` (the figures of a stage), `fit` (what to change). It runs the code
that trains: nothing here knows how an attention, an optimizer or a loss is computed.
"""
