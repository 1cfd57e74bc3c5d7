"""Verbs that answer others' requests: `serve` for clients, `run` for a file of them."""
