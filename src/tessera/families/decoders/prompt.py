"""Which conversation template the series gave to which kind of language model (docs/facts/models.md)."""

from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.models.config import DecoderKind
from tessera.runtime.shown import shown

USUAL: dict[DecoderKind, tuple[str, ...]] = {
    "llama": ("Hermes-2", "internvl_zh"),
    "internlm2": ("internvl2_5",),
    "internlm3": ("internvl2_5",),
    "qwen2": ("internvl2_5",),
    "qwen3": ("internvl2_5",),
    "phi3": ("phi3-chat",),
    "qwen3_moe": ("internvl2_5",),
    "gpt_oss": ("internvl3_5_gpt_oss",),
}
"""Of the newest generation with that kind; Yi ends its turns as Hermes-2 does, LLaMA-2 by `</s>`."""


def usual_template(kind: DecoderKind, tokenizer: Tokenizer) -> str:
    """The first usual template that ends at a token of this tokenizer.

    ValueError naming the templates that would, when there is none.
    """
    for name in USUAL[kind]:
        if tokenizer.has_token(TEMPLATES[name].stop):
            return name
    ends = {name: template.stop for name, template in TEMPLATES.items()}
    fitting = [name for name, stop in ends.items() if tokenizer.has_token(stop)]
    wanted = ", ".join(sorted({shown(stop) for stop in ends.values()}))
    raise ValueError(
        f"template: none of the usual ones for {kind} ends at a token of this tokenizer; "
        + (f"choose {' or '.join(fitting)}" if fitting else f"add one of {wanted} by add_tokens")
        + f", and name it as template ({', '.join(TEMPLATES)})"
    )
