"""InternVL-Chat 1.0 as a family: LLaVA's layout, two templates of its own, no tokens around pictures."""

from tessera.families.architecture import Architecture
from tessera.families.llava import official
from tessera.families.llava.config import LlavaConfig
from tessera.families.llava.prompt import TEMPLATES, TOKENS
from tessera.families.llava.weights import CARD_NAMES, part_tables

LLAVA = Architecture(
    name="llava",
    config=LlavaConfig,
    layouts={"official": official},
    templates=TEMPLATES,
    tokens=TOKENS,
    opened_by={"official": "Tessera, the authors' internvl_chat_llava (where mm_vision_tower is a folder)"},
    card_names=CARD_NAMES,
    part_tables=part_tables,
)
