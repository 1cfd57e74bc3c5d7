"""Turns and picture tokens of the made-up family."""

from __future__ import annotations

from tessera.chat.templates import Template
from tessera.chat.tokens import SpecialTokens

TOKENS = SpecialTokens("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", others=())
TEMPLATE = Template(
    name="quill",
    system_text="",
    system_prefix="<|im_start|>system\n",
    system_end="<|im_end|>\n",
    user_prefix="<|im_start|>you\n",
    user_end="<|im_end|>\n",
    assistant_prefix="<|im_start|>me\n",
    stop="<|im_end|>",
    answer_end="\n",
    tokens=TOKENS,
)
