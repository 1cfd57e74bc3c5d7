"""InternVL-Chat-V1-5 with its variants, and the Mini models of 1.5: tiles come in (docs/facts/models.md).

Not trained on clips: frame labels follow the model cards. Counts by part: the card at
internvl.github.io/blog/2024-04-30-InternVL-1.5; of the Mini models the quick start at
internvl.readthedocs.io.
"""

from dataclasses import replace

from tessera.families.entry import Published
from tessera.families.internvl.catalogue.language_models import (
    INTERNLM2_1_8B,
    INTERNLM2_20B,
    PHI3_MINI,
    YI_34B,
)
from tessera.families.internvl.catalogue.member import member
from tessera.families.internvl.catalogue.vision_models import LARGE_INITIAL, LARGE_V1_5, SMALL

BLOG = "internvl.github.io/blog/2024-04-30-InternVL-1.5"
DOCS = "internvl.readthedocs.io, quick start of 1.5"
PHI_NOTE = "the tables print 4.2B; its parts (0.30, 0.02 and Phi-3's 3.82) add up to 4.15B"

PLAIN = member(
    base="InternVL-Chat-V1-5",
    generation="1.5",
    vision=LARGE_V1_5,
    language=INTERNLM2_20B,
    template="internlm2-chat",
    published=Published("25.51", "5.54", "0.11643", "19.86", BLOG),
    frame_label="cards",
    initial=LARGE_INITIAL,
    card_licence="MIT",
    notes=("trained with 1 to 12 tiles; the authors test with up to 40",),
)
ENTRIES = (
    PLAIN,
    replace(
        PLAIN,
        suffix="-Int8",
        weight_files="model-*.safetensors with int8 matrices and their row scales (bitsandbytes)",
        notes=("opened as weight = int8 x scale / 127",),
    ),
    member(
        "InternVL-Chat-V1-5",
        "1.5",
        LARGE_V1_5,
        YI_34B,
        suffix="-Plus",
        template="Hermes-2",
        published=Published("40.07", "5.54", "0.14317", "34.39", BLOG),
        frame_label="cards",
        initial=LARGE_INITIAL,
        notes=("described on the blog; we found no public repository",),
        unverified=("repository", "template"),
    ),
    member(
        base="Mini-InternVL-Chat-2B-V1-5",
        generation="1.5",
        vision=SMALL,
        language=INTERNLM2_1_8B,
        template="internlm2-chat",
        published=Published("2.2", "0.304", source=DOCS),
        frame_label="cards",
    ),
    member(
        base="Mini-InternVL-Chat-4B-V1-5",
        generation="1.5",
        vision=SMALL,
        language=PHI3_MINI,
        template="phi3-chat",
        published=Published("4.15", "0.304", language="3.8", source=f"{DOCS}: {PHI_NOTE}"),
        frame_label="cards",
    ),
)
