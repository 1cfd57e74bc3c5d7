"""InternVL 2.5 from 1B to 78B with and without MPO, and the reward model made from the 8B
(docs/facts/models.md).

One template for all. Counts: the InternVL 2.5 paper; the quick start of internvl.readthedocs.io repeats
it but prints 4.2B, 40.1B and 76.3B (the figures of InternVL 2) for the models of 3.7B, 38.4B and 78.4B.
"""

from dataclasses import replace

from tessera.families.entry import Entry, LanguageModel, Published
from tessera.families.internvl.catalogue import language_models as llm
from tessera.families.internvl.catalogue import vision_models as vit
from tessera.families.internvl.catalogue.member import member

PAPER = "arXiv 2412.05271"


def _member(size: str, language: LanguageModel, total: str) -> Entry:
    large = size in ("26B", "38B", "78B")
    return member(
        base=f"InternVL2_5-{size}",
        generation="2.5",
        vision=vit.LARGE_V2_5 if large else vit.SMALL_V2_5,
        language=language,
        template="internvl2_5",
        published=Published(total, "5.54" if large else "0.304", source=PAPER),
        initial=vit.LARGE_INITIAL if large else (1.0, 0.02, 0.0),
    )


MEMBERS = (
    _member("1B", llm.qwen2_5_instruct("0.5B"), "0.9"),
    _member("2B", llm.INTERNLM2_5_1_8B, "2.2"),
    _member("4B", llm.qwen2_5_instruct("3B"), "3.7"),
    _member("8B", llm.INTERNLM2_5_7B, "8.1"),
    _member("26B", llm.INTERNLM2_5_20B, "25.5"),
    _member("38B", llm.qwen2_5_instruct("32B"), "38.4"),
    _member("78B", llm.qwen2_5_instruct("72B"), "78.4"),
)
REWARD_NOTES = (
    "class InternVLRewardModel: the tensors of a chat model; it rates the steps of a solution with + and -",
)
PROCESS_REWARD = replace(
    MEMBERS[3],
    base="VisualPRM-8B",
    published=Published("8.1", "0.304", source="arXiv 2503.10291: made from InternVL2_5-8B"),
    notes=REWARD_NOTES,
    unverified=("system text",),
)
ENTRIES = (
    *(entry for member in MEMBERS for entry in (member, replace(member, suffix="-MPO"))),
    PROCESS_REWARD,
)
