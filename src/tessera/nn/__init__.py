"""Blocks of a network on one device: tensors in, tensors out.

Read `attention/` first, then `rope`, `norm`, `mlp`, `linear`, `quantised`, `codes`, `lora`, `drop_path` and
`recompute`; `cpu/` holds what is faster on a CPU.
The room must not know models, text, pictures or processes: no `torch.distributed`, no config of a family.
"""
