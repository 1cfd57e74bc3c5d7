"""Heads on a vision encoder: published settings by name (`published`), and the data that classes are learned
from (`class_data`)."""
