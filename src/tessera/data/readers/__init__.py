"""Readers: each turns one kind of settings into a `Source`."""
