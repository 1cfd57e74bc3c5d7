"""What a step changes: `rules` choose parameters and rates (`decay`, `wrapping`), `schedule` bends rates,
`optimizers` update them in `parts` (`muon` is one), with `masters` behind bfloat16 weights.

Knows parameters by name and shape alone; no batch, no objective, no process group.
"""
