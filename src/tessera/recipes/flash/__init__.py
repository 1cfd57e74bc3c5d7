"""Models whose tiles become fewer tokens where a look says so: `scale_model` in miniature (docs/moe.md)."""
