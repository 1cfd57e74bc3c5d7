"""Short answers against the texts that are right, as each harness does it.

Read `named` (name → scorer), then `vqa`, `edits`, `numbers`, `matching`, `tasks/`. Where harnesses differ there
are settings; definitions with sources are on docs/facts/evaluation.md. Must not know benchmarks by name.
"""
