"""Short answers against the texts that are right, as each harness does it.

Read `named` (name → scorer), then `vqa`, `edits`, `numbers`, `matching`. Differences between harnesses are
settings; definitions with their sources are on docs/facts/evaluation.md. Must not know benchmarks by name.
"""
