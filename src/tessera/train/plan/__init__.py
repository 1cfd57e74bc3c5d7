"""What a run will take, before a weight is loaded: parameters, memory, steps and time.

Read `live` (bytes alive), `shell` (a model without numbers), `passes` (forward and backward).
It computes on the modules that train and knows no batch; nothing here prints.
"""
