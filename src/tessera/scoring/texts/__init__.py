"""Short answers against the texts that are right, as each of the harnesses does it.

Read `named` (name → scorer), then `vqa`, `edits`, `numbers`, `matching`, then `tasks/`. Where they differ
there is a setting; definitions with sources: docs/facts/evaluation.md. Must not know benchmarks by name.
"""
