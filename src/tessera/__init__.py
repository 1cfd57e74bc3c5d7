"""Tessera: the InternVL series, end to end, in one readable package."""

__version__ = "0.1.0"
