"""InternVL 3 from 1B to 78B: as pre-trained, tuned on instructions, and with MPO (docs/facts/models.md).

The plain name is the MPO model, `-Instruct` the one before it, `-Pretrained` the one before that. They start
from Qwen2.5 without tuning; answers end with `<|im_end|>` although the nested config names 151643. Each plain
model is published in the layout of transformers, too (`-hf`). Variable visual positions (V2PE) are theirs.
Counts: internvl.readthedocs.io, quick start of 3.0. The paper and the front page print 1.9B for the 2B (its
output head is stored apart: 2.1B), 8.1B for the 8B (7.9B) and 9.2B for the 9B (9.1B).
"""

from dataclasses import replace

from tessera.families.entry import OWNER, Entry, LanguageModel, Published
from tessera.families.internvl.catalogue import language_models as llm
from tessera.families.internvl.catalogue import vision_models as vit
from tessera.families.internvl.catalogue.internvl_2_5 import REWARD_NOTES
from tessera.families.internvl.catalogue.member import member, stages

DOCS = "internvl.readthedocs.io, quick start of 3.0"
INITIAL = (0.1, 1e-10, 0.1)
"""Written in InternVL3-1B's config; the others' is taken to be the same."""


def _member(size: str, language: LanguageModel, total: str) -> Entry:
    large = size in ("38B", "78B")
    return member(
        base=f"InternVL3-{size}",
        generation="3",
        vision=vit.LARGE_V2_5 if large else vit.SMALL_V2_5,
        language=language,
        template="internvl2_5",
        published=Published(total, "5.54" if large else "0.304", source=DOCS),
        initial=INITIAL,
        transformers_repository=f"{OWNER}/InternVL3-{size}-hf",
        unverified=() if size == "1B" else ("initial values",),
    )


MEMBERS = (
    replace(_member("1B", llm.qwen2_5_base("0.5B"), "0.9"), card_licence="Apache-2.0"),
    replace(_member("2B", llm.qwen2_5_base("1.5B"), "2.1"), card_licence="Apache-2.0"),
    replace(_member("8B", llm.qwen2_5_base("7B"), "7.9"), card_licence="Apache-2.0"),
    replace(
        _member("9B", llm.INTERNLM3_8B, "9.1"),
        card_licence="MIT",
        notes=("InternLM3's weights are stored under InternLM2's names (fused wqkv)",),
    ),
    _member("14B", llm.qwen2_5_base("14B"), "15.1"),
    _member("38B", llm.qwen2_5_base("32B"), "38.4"),
    _member("78B", llm.qwen2_5_base("72B"), "78.4"),
)
PROCESS_REWARD = replace(
    MEMBERS[2],
    base="VisualPRM-8B-v1_1",
    transformers_repository="",
    card_licence="MIT",
    published=Published("7.9", "0.304", source="15.9 GB in its repository's list of files"),
    notes=(
        *REWARD_NOTES,
        "its card names InternVL2_5-8B and its MPO model as the base; tokenizer files and size are those of "
        "InternVL3-8B",
    ),
    unverified=("language model", "system text", "initial values"),
)
ENTRIES = (*stages(MEMBERS, "-Pretrained", "-Instruct"), PROCESS_REWARD)
