"""Which tokenizer goes with which template, and conversations in both notations."""

from __future__ import annotations

from dataclasses import dataclass

from tessera.chat.message import Conversation, Image, Message, Part, Text

PAIRS = [
    ("internvl_zh", "llama2"),
    ("Hermes-2", "internvl3"),
    ("Hermes-2", "yi"),
    ("internlm2-chat", "internlm2_internvl2"),
    ("phi3-chat", "phi3"),
    ("internvl2_5", "internvl3"),
    ("internvl2_5", "internlm2_internvl2"),
    ("Hermes-2", "qwen2"),
    ("internvl2_5", "qwen3"),
]
"""Template and tokenizer of released models: V1-1 (the base vocabulary); Hermes-2 over Qwen2.5; V1-2, 2-40B;
2-8B; 2-4B; 2.5-1B, 3; 2.5-8B; 2-1B; 3.5."""


def as_conversation(turns: list[tuple[str, str]]) -> Conversation:
    """Turns written with `<image>` marks as messages with picture parts."""
    messages = []
    for role, text in turns:
        words = text.split("<image>") if role == "user" else [text]
        parts: list[Part] = []
        for index, piece in enumerate(words):
            parts += [Image("picture")] if index else []
            parts += [Text(piece)] if piece else []
        messages.append(Message(role, tuple(parts)))  # type: ignore[arg-type]
    return Conversation(tuple(messages))


@dataclass(frozen=True)
class Case:
    """Turns with `<image>` marks; `path` is training or generate; system None is the template's own text."""

    key: str
    turns: list[tuple[str, str]]
    path: str = "training"
    system: str | None = None

    @property
    def tiles(self) -> list[int]:
        """A tile count for every mark of the user."""
        marks = sum(text.count("<image>") for role, text in self.turns if role == "user")
        return [1 + i % 3 for i in range(marks)]


PICTURES = [
    ("user", "Image-1: <image>\nImage-2: <image>\nWhich is older?"),
    ("assistant", "The <ref>left page</ref><box>[[0, 10, 500, 999]]</box> is older."),
    ("user", "  Sure?  Look <image> again.\n"),
    ("assistant", "Yes, I'm sure 🙂."),
]
CASES = [
    Case("text", [("user", "What is 12 + 30?"), ("assistant", "42")]),
    Case(
        "picture",
        [
            ("user", "<image>\nDescribe the picture shortly."),
            ("assistant", "A red panda sits on a tree.\n\nIt looks down."),
            ("user", "图片里有几只动物？"),
            ("assistant", "一只。"),
        ],
    ),
    Case("pictures", PICTURES),
    Case(
        "clip with training labels",
        [
            ("user", "Frame-1: <image>\nFrame-2: <image>\nFrame-3: <image>\nWhat happens?"),
            ("assistant", "def f(x):\n    return x\t# café"),
        ],
    ),
    Case(
        "clip with the cards' labels",
        [("user", "Frame1: <image>\nFrame2: <image>\nWhat happens?"), ("assistant", "Nothing.")],
    ),
    Case("own system text", [("user", "Hi"), ("assistant", "Ho")], system="Answer in one word."),
    Case("empty system text", [("user", "Hi"), ("assistant", "Ho")], system=""),
    Case("ask", [("user", "Hello, who are you?")], "generate"),
    Case("ask about a picture", [("user", "<image>\nPlease describe the image shortly.")], "generate"),
    Case("ask again", PICTURES[:3], "generate"),
    Case("ask about a clip", [("user", "Frame1: <image>\nFrame2: <image>\nWhat happens?")], "generate"),
    Case("ask with own system text", [("user", " 你好 ")], "generate", "Answer in one word.\n"),
    Case("ask with empty system text", [("user", "<image>\n?")], "generate", ""),
]
