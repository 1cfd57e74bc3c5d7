"""Several processes, from outside: who shares what, and what happens when one is lost.

Read `config` (the recipe's field), `ranks` (processes and sums over them), `mesh` (who shares what), `shard`
(weights), `tensor` and `sequence` (matrices and tokens), `idle` (ranks without a batch), `norm`, `dealing`
and `leading` (work that one does for all), then `heartbeat`. Models know nothing of it; objectives offer an
idle batch.
"""
