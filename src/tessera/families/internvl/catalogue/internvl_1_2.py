"""InternVL-Chat-V1-2 and -Plus: still one square a picture, now with Yi-34B (docs/facts/models.md).

Counts by part: the card at internvl.github.io/blog/2024-04-30-InternVL-1.5 prints those of the same pair; the
tables of internvl.readthedocs.io say 40.1B. The config class of this repository knows no ps_version: v1.
"""

from dataclasses import replace

from tessera.families.entry import ONE_SQUARE, Published
from tessera.families.internvl.catalogue.language_models import YI_34B
from tessera.families.internvl.catalogue.member import member
from tessera.families.internvl.catalogue.vision_models import LARGE_INITIAL, LARGE_V1_2

BLOG = "internvl.github.io/blog/2024-04-30-InternVL-1.5, the column with the same parts"

PLAIN = member(
    base="InternVL-Chat-V1-2",
    generation="1.2",
    vision=LARGE_V1_2,
    language=YI_34B,
    template="Hermes-2",
    published=Published("40.07", "5.54", "0.14317", "34.39", BLOG),
    tiling=ONE_SQUARE,
    frame_label="cards",
    ps_version="v1",
    initial=LARGE_INITIAL,
    card_licence="MIT",
    unverified=("select_layer",),
)
ENTRIES = (
    PLAIN,
    replace(PLAIN, suffix="-Plus", notes=("the same parts, tuned on 12 million samples instead of 1.2",)),
)
