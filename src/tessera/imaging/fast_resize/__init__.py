"""Pillow's bicubic pixels to the last bit, faster than Pillow. Read `resample`, `passes`, `bicubic`.

The library is Pillow (`Image.resize`), which also serves small pictures and unknown orders of passes. Gain:
bytes to uint8 tiles 1.80 times as fast as the published recipe, 2.64 times as transformers' processor, both
on Pillow (benchmarks/results/loading_zen4-2core_202611.md). Delete this room when Pillow itself, or a library
with the same pixels, comes within a fifth of it in `benchmarks/loading.py`. It knows pictures and sizes
alone; nothing outside imports more than `resize` and the type `Pixels`.
"""
