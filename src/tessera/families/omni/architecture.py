"""InternVL with ears."""

from tessera.families.architecture import Architecture
from tessera.families.internvl.architecture import INTERNVL
from tessera.families.omni import layout
from tessera.families.omni.model import OmniConfig
from tessera.families.omni.prompt import ALL_TOKENS, ARCHITECTURE, OWN_TEMPLATES
from tessera.families.omni.weights import CARD_NAMES, part_tables

OMNI = Architecture(
    name=ARCHITECTURE,
    config=OmniConfig,
    layouts={"official": layout},
    templates=OWN_TEMPLATES,
    tokens=ALL_TOKENS,
    card_names=(*CARD_NAMES, *INTERNVL.card_names),
    part_tables=part_tables,
)
