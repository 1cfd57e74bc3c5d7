"""Attention with one door: `api.attend` takes a layout and, for generation, a cache.

Read `layout` (who sees whom), `cache` (keys and values in pages) and `api` (the door and the choice of a
kernel). The kernels: `reference` (the slow oracle), `sdpa` (any layout, any device), `varlen` (half precision
on CUDA) and `cpu/` (a CPU's fast ways). Callers know `api`, `layout` and `cache`; no file here knows a model.
"""
