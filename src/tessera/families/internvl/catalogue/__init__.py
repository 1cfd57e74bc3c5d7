"""The released members of InternVL, a file a generation, and toy sizes of the same architecture.

Read `language_models` and `vision_models` first: the parts; then a generation; `member` puts parts together.
Nothing here knows tensors or files: configs, words and published figures.
"""

from tessera.families.internvl.catalogue import (
    internvl_1_1,
    internvl_1_2,
    internvl_1_5,
    internvl_2,
    internvl_2_5,
    internvl_3,
    internvl_3_5,
)
from tessera.families.internvl.catalogue.refused import refusal
from tessera.families.internvl.catalogue.toy import TOYS
from tessera.families.internvl.catalogue.vision_models import COMPONENTS

__all__ = ["COMPONENTS", "ENTRIES", "GENERATIONS", "TOYS", "refusal"]

GENERATIONS = (
    internvl_1_1,
    internvl_1_2,
    internvl_1_5,
    internvl_2,
    internvl_2_5,
    internvl_3,
    internvl_3_5,
)
"""Oldest first."""
ENTRIES = tuple(entry for generation in GENERATIONS for entry in generation.ENTRIES)
"""Every released chat model, variants of a size together."""
