"""Tensors in files: shards, single weight files, and views that change tensors on the way.

Read `shards` first. `views` opens 8-bit weights and resizes positions, `lora` merges. Knows no model.
"""
