"""InternVL 2 from 1B to 76B, its MPO model, and the Mini models tuned for four domains
(docs/facts/models.md).

Three templates side by side: ChatML without `<s>` (Hermes-2), with it (internlm2-chat) and Phi-3's. Several
pictures and clips are trained from here on. Counts: table of internvl.readthedocs.io (quick start of 2.0).
InternVL2-Pro (108B) was never published; InternVL2-Llama3-76B-MPO stands in the MPO paper alone.
"""

from dataclasses import replace

from tessera.families.entry import Entry, LanguageModel, Published
from tessera.families.internvl.catalogue import language_models as llm
from tessera.families.internvl.catalogue import vision_models as vit
from tessera.families.internvl.catalogue.internvl_1_5 import PHI_NOTE
from tessera.families.internvl.catalogue.member import member

DOCS = "internvl.readthedocs.io, quick start of 2.0"
DOMAINS = ("Drivelm", "BDD", "RS", "Medical")


def _small(size: str, language: LanguageModel, template: str, total: str, part: str = "") -> Entry:
    note = f"{DOCS}: {PHI_NOTE}" if size == "4B" else DOCS
    published = Published(total, "0.304", language=part, source=note)
    return member(f"InternVL2-{size}", "2", vit.SMALL, language, template=template, published=published)


def _large(size: str, language: LanguageModel, template: str, total: str, part: str = "") -> Entry:
    return member(
        f"InternVL2-{size}",
        "2",
        vit.LARGE_V1_5,
        language,
        initial=vit.LARGE_INITIAL,
        template=template,
        published=Published(total, "5.54", language=part, source=DOCS),
    )


def _domains(model: Entry) -> tuple[Entry, ...]:
    """The Mini model of this size, once for every domain."""
    base = f"Mini-{model.base}-DA"
    note = "tuned for one domain from Mini-InternVL; counts are those of InternVL2"
    return tuple(replace(model, base=base, suffix=f"-{domain}", notes=(note,)) for domain in DOMAINS)


ONE = _small("1B", llm.QWEN2_0_5B, "Hermes-2", "0.9")
TWO = _small("2B", llm.INTERNLM2_1_8B, "internlm2-chat", "2.2")
FOUR = _small("4B", llm.PHI3_MINI, "phi3-chat", "4.15", "3.8")
EIGHT = replace(_small("8B", llm.INTERNLM2_5_7B, "internlm2-chat", "8.1"), card_licence="MIT")

ENTRIES = (
    ONE,
    TWO,
    FOUR,
    EIGHT,
    replace(EIGHT, suffix="-MPO", card_licence=""),
    _large("26B", llm.INTERNLM2_20B, "internlm2-chat", "25.5", "19.86"),
    _large("40B", llm.YI_34B, "Hermes-2", "40.1", "34.39"),
    replace(_large("Llama3-76B", llm.LLAMA3_70B, "internlm2-chat", "76.3"), card_licence=llm.LLAMA_3),
    *_domains(ONE),
    *_domains(TWO),
    *_domains(FOUR),
)
