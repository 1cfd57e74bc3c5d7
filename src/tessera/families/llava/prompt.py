"""How 1.0 talks: Vicuna's turns, and LLaVA's form of captions (docs/facts/llava.md)."""

from tessera.chat.templates import Template
from tessera.chat.tokens import SpecialTokens

TOKENS = SpecialTokens(start="", end="", context="<unk>", others=(), splits=True)
"""LLaVA's vocabulary has no token of pictures. The unknown one stands in their places: no text becomes it."""
SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
VICUNA = Template(
    name="vicuna_v1",
    system_text=SYSTEM,
    system_prefix="",
    system_end=" ",
    user_prefix="USER: ",
    user_end=" ",
    assistant_prefix="ASSISTANT:",
    answer_lead=" ",
    stop="</s>",
    picture_first=True,
    tokens=TOKENS,
)
PLAIN = Template(
    name="plain",
    system_text="",
    system_prefix="",
    system_end="",
    user_prefix="",
    user_end="",
    assistant_prefix="",
    stop="\n",
    captions=True,
    tokens=TOKENS,
)
TEMPLATES = {template.name: template for template in (VICUNA, PLAIN)}
"""Names in the authors' code: `vicuna_v1` (also `v1`) and `plain`."""
