"""Benchmarks as data.

Read `benchmark` (what a file says), then `catalogue` (all of them, and your own).
"""
