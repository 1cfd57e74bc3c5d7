"""Which samples share a pack, decided on counts alone, the same in every process.

Read: `plan` (two capacities, one window of samples; by `shelves`, `buffers` and `remix`), `window` (rounds of
draws), `balance`, `rows` (ranks).
It must not know records or pixels: an item is a key with two numbers.
"""
