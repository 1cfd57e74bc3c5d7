"""The six conversation templates of the series as tables (docs/facts/templates.md); `render` knows how to
read them."""

from dataclasses import dataclass, replace
from typing import Any

from tessera.chat.tokens import SpecialTokens

SYSTEM_1 = (
    "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，"
    "英文名叫InternVL, 是一个有用无害的人工智能助手。"
)
SYSTEM_2 = (
    "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、"
    "清华大学及多家合作单位联合开发的多模态大语言模型。"
)


THINKING = """You are an AI assistant that rigorously follows this response protocol:

1. First, conduct a detailed analysis of the question. Consider different angles, potential solutions, and \
reason through the problem step-by-step. Enclose this entire thinking process within <think> and </think> \
tags.

2. After the thinking section, provide a clear, concise, and direct answer to the user's question. Separate \
the answer from the think section with a newline.

Ensure that the thinking process is thorough but remains focused on the query. The final answer should be \
standalone and not reference the thinking section."""
"""System text with which InternVL 3.5 thinks first (model cards, and `R1_SYSTEM_PROMPT` of the authors'
training code). The cards sample at a temperature of 0.6 then."""


@dataclass(frozen=True)
class Channels:
    """An answer's thought in a message of its own (harmony): `thought_lead` thought `thought_end`, then
    `Template.answer_lead` and the words. In conversations it is `<think>thought</think>` in front of them."""

    thought_lead: str
    thought_end: str


@dataclass(frozen=True)
class Template:
    r"""How turns are written down.

    A prompt is `system_prefix S system_end`, then for every turn `user_prefix Q user_end` or
    `assistant_prefix answer_lead A stop answer_end`. A prompt for generation ends with `assistant_prefix`.
    `answer_lead`, the answer and `stop` are supervised (the last may be left out, `Message.end_trained`);
    `answer_end` is not. `strip` removes white space around every turn in training; a prompt for generation
    keeps it, as the authors' code does (docs/facts/templates.md). Generation ends at `stop` or one of
    `extra_stops`.
    """

    name: str
    system_text: str
    system_prefix: str
    system_end: str
    user_prefix: str
    user_end: str
    assistant_prefix: str
    stop: str
    answer_lead: str = ""
    answer_end: str = ""
    strip: bool = False
    extra_stops: tuple[str, ...] = ()
    earlier_stop: str = ""
    """What an answer with a turn behind it ends with, where that is not `stop`."""
    channels: Channels | None = None
    """How a thought stands apart from the answer, where that is not by `<think>` in the text."""
    picture_first: bool = False
    """A turn's one picture comes before its words, on a line of its own. These are stripped, but where a
    question is asked whose picture is in front already (LLaVA)."""
    captions: bool = False
    """For training alone: one picture and its caption, of whose question no word is written; the caption ends
    with `stop` as text, no token."""
    tokens: SpecialTokens = SpecialTokens()

    @property
    def stops(self) -> tuple[str, ...]:
        """Every string that ends an answer, the supervised one first."""
        return (self.stop, *self.extra_stops)

    @property
    def frame(self) -> str:
        """Everything that it writes around system text, questions and answers, joined."""
        around = (self.system_prefix, self.system_end, self.user_prefix, self.user_end, self.assistant_prefix)
        channels = (self.channels.thought_lead, self.channels.thought_end) if self.channels else ()
        return "".join(
            (*around, self.answer_lead, *self.stops, self.earlier_stop, *channels, self.answer_end)
        )


def _marked(name: str, system: str, prefix: str, stop: str, between: str = "", **more: Any) -> Template:
    """Turns from `prefix`, which holds the role, to `stop`; `between` is what stands between two turns."""
    return Template(
        name=name,
        system_text=system,
        system_prefix=prefix.format("system"),
        system_end=stop + between,
        user_prefix=prefix.format("user"),
        user_end=stop + between,
        assistant_prefix=prefix.format("assistant"),
        stop=stop,
        answer_end=between,
        **more,
    )


SYSTEM_GPT_OSS = (
    "You are InternVL, a large language model trained by Shanghai AI Laboratory.\n"
    "Knowledge cutoff: 2024-06\nCurrent date: 2025-08-06\n\nReasoning: low\n\n"
    "# Valid channels: final. Channel must be included for every message."
)
CHATML = ("<|im_start|>{}\n", "<|im_end|>")
_ALL = (
    Template(
        name="internvl_zh",
        system_text="",
        system_prefix="",
        system_end=" ",
        user_prefix="<human>: ",
        user_end=" ",
        assistant_prefix="<bot>:",
        answer_lead=" ",
        stop="</s>",
    ),
    _marked("Hermes-2", SYSTEM_1, *CHATML, extra_stops=("<|endoftext|>",)),
    _marked("internlm2-chat", SYSTEM_1, *CHATML, strip=True),
    _marked("phi3-chat", SYSTEM_1, "<|{}|>\n", "<|end|>"),
    _marked("internvl2_5", SYSTEM_2, *CHATML, between="\n"),
    replace(
        _marked("internvl3_5_gpt_oss", SYSTEM_GPT_OSS, "<|start|>{}<|message|>", "<|end|>"),
        assistant_prefix="<|start|>assistant",
        answer_lead="<|channel|>final<|message|>",
        stop="<|return|>",
        earlier_stop="<|end|>",
        channels=Channels("<|channel|>analysis<|message|>", "<|end|><|start|>assistant"),
    ),
)
TEMPLATES: dict[str, Template] = {template.name: template for template in _ALL}


def get_template(name: str) -> Template:
    """The template of this name, or ValueError with the known names."""
    if name not in TEMPLATES:
        raise ValueError(f"template: {name!r} is unknown; choose one of {', '.join(TEMPLATES)}")
    return TEMPLATES[name]
