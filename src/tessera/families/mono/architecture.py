"""Mono-InternVL as a family: one layout, InternVL's templates and tokens."""

from tessera.families.architecture import Architecture
from tessera.families.internvl.weights import CARD_NAMES
from tessera.families.mono import official
from tessera.families.mono.config import MonoConfig

MONO = Architecture(
    name="mono",
    config=MonoConfig,
    layouts={"official": official},
    card_names=CARD_NAMES,
)
