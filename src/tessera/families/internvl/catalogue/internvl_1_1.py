"""InternVL-Chat-V1-1: one square of 448 px a picture, and a prompt of its own (docs/facts/models.md and
docs/facts/templates.md).

Counts by part: model card at internvl.github.io/blog/2024-01-24-InternVL-1.1. Its 5.91B for the ViT mean that
all 48 layers are stored; the remote code of that time reads the fourth state from the end.
"""

from tessera.families.entry import ONE_SQUARE, Published
from tessera.families.internvl.catalogue.language_models import LLAMA2_13B
from tessera.families.internvl.catalogue.member import member
from tessera.families.internvl.catalogue.vision_models import LARGE_INITIAL, LARGE_V1_0

BLOG = "internvl.github.io/blog/2024-01-24-InternVL-1.1"

ENTRIES = (
    member(
        base="InternVL-Chat-V1-1",
        generation="1.1",
        vision=LARGE_V1_0,
        language=LLAMA2_13B,
        template="internvl_zh",
        published=Published("19.11", "5.91", "0.09178", "13.12", BLOG),
        tiling=ONE_SQUARE,
        frame_label="cards",
        ps_version="v1",
        select_layer=-4,
        initial=LARGE_INITIAL,
        card_licence="MIT",
        weight_files="pytorch_model-*.bin (pickles, read in weights-only mode)",
        notes=("the language model is an unpublished Chinese continuation of LLaMA2-13B",),
        unverified=("select_layer", "ps_version"),
    ),
)
