"""What a step changes: `rules` choose parameters and rates, `optimizers` update them, `schedule` bends rates.

Knows parameters by name and shape alone; no batch, no objective, no process group.
"""
