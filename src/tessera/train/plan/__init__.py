"""What a run will take, before a weight is read: memory part by part, FLOPs, time, and what to change.

Read `live` (tensors without memory, and who holds what), `shape` (the model of a stage), `trial` (one real
step on it), `packs` (on what), `memory` (bytes of a device), then `flops` and `groups`.
It runs the code that trains: nothing here knows how an attention, an optimizer or a loss is computed.
"""
