"""InternVL 3.5: Qwen3 decoders with QK-norm, dense from 1B to 38B and with experts, four stages each, and a
preview on GPT-OSS, which has a template of its own (`internvl3_5_gpt_oss`); `-Flash` models have a resolution
router besides (docs/facts/moe.md).

The plain name has been through both stages of reinforcement learning, `-MPO` through the first, `-Instruct`
and `-Pretrained` come before. Repositories in the layout of transformers end in `-HF`. Counts by part: model
zoo of the official README (github.com/OpenGVLab/InternVL at 2410d1d). The nested config was read for the 8B:
Qwen3's vocabulary with its padded rows, 40,960 positions, no rope scaling. The published 0.8B, 2.0B and 4.4B
of the language part only fit an output head stored apart from the embeddings. Template: `internvl2_5`, as in
the authors' training scripts; its system text may be replaced by one that asks for thinking.
"""

from dataclasses import replace

from tessera.families.entry import OWNER, Entry, Published
from tessera.families.internvl.catalogue import language_models as llm
from tessera.families.internvl.catalogue import vision_models as vit
from tessera.families.internvl.catalogue.member import member, stages
from tessera.models.resolution.config import ResolutionConfig

SOURCE = "model zoo of the official README (InternVL 3.5)"


def _member(size: str, language: str, part: str, total: str) -> Entry:
    large = size in ("38B", "241B-A28B")
    return member(
        base=f"InternVL3_5-{size}",
        generation="3.5",
        vision=vit.LARGE_V2_5 if large else vit.SMALL_V2_5,
        language=llm.QWEN3[language],
        template="internvl2_5",
        published=Published(total, "5.5" if large else "0.3", language=part, source=SOURCE),
        initial=(0.1, 1e-10, 0.1),
        card_licence="Apache-2.0",
        transformers_repository=f"{OWNER}/InternVL3_5-{size}-HF",
        unverified=("initial values",),
    )


MEMBERS = (
    _member("1B", "0.6B", "0.8", "1.1"),
    _member("2B", "1.7B", "2.0", "2.3"),
    _member("4B", "4B", "4.4", "4.7"),
    _member("8B", "8B", "8.2", "8.5"),
    _member("14B", "14B", "14.8", "15.1"),
    _member("38B", "32B", "32.8", "38.4"),
    _member("30B-A3B", "30B-A3B", "30.5", "30.8"),
    _member("241B-A28B", "235B-A22B", "235.1", "240.7"),
)
GPT_OSS = member(
    base="InternVL3_5-GPT-OSS-20B",
    suffix="-A4B-Preview",
    generation="3.5",
    vision=vit.SMALL_V2_5,
    language=llm.GPT_OSS_20B,
    template="internvl3_5_gpt_oss",
    published=Published("21.2", "0.3", language="20.9", source=SOURCE),
    initial=(0.1, 1e-10, 0.1),
    card_licence="Apache-2.0",
    transformers_repository=f"{OWNER}/InternVL3_5-GPT-OSS-20B-A4B-Preview-HF",
    notes=(
        "attention sinks, windows of 128 tokens in every other layer; answers come in channels (harmony)",
    ),
    unverified=("initial values",),
)
SEEN_FLASH = ("InternVL3_5-2B", "InternVL3_5-38B")
"""Whose `-Flash` repository we saw on the hub."""


def _flash(plain: Entry) -> Entry:
    """The same with a second connector and a resolution router; thresholds stand in its config.json."""
    published = replace(plain.published, total="", source=f"{SOURCE}, of the plain model")
    seen = () if plain.base in SEEN_FLASH else ("repository",)
    return replace(
        plain,
        suffix="-Flash",
        model=plain.model.model_copy(update={"resolution": ResolutionConfig()}),
        published=published,
        transformers_repository="",
        notes=("a router makes some tiles a quarter of the tokens; prompts follow from a look at them",),
        unverified=(*plain.unverified, *seen, "thresholds", "published"),
    )


ENTRIES = (*stages(MEMBERS, "-Pretrained", "-Instruct", "-MPO"), GPT_OSS, *map(_flash, MEMBERS))
