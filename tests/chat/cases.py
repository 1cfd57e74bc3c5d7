"""Which tokenizer goes with which template, and conversations in both notations."""

from __future__ import annotations

from tessera.chat.message import Conversation, Image, Message, Part, Text

PAIRS = [
    ("internvl_zh", "llama2"),
    ("Hermes-2", "internvl3"),
    ("Hermes-2", "yi"),
    ("internlm2-chat", "internlm2_internvl2"),
    ("phi3-chat", "phi3"),
    ("internvl2_5", "internvl3"),
    ("internvl2_5", "internlm2_internvl2"),
]
"""Template and tokenizer of released models: V1-1; 2-1B; V1-2, 2-40B; 2-8B; 2-4B; 2.5-1B, 3; 2.5-8B."""


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


CONVERSATIONS: dict[str, list[tuple[str, str]]] = {
    "text": [("user", "What is 12 + 30?"), ("assistant", "42")],
    "picture": [
        ("user", "<image>\nDescribe the picture shortly."),
        ("assistant", "A red panda sits on a tree.\n\nIt looks down."),
        ("user", "图片里有几只动物？"),
        ("assistant", "一只。"),
    ],
    "pictures": [
        ("user", "Image-1: <image>\nImage-2: <image>\nWhich is older?"),
        ("assistant", "The <ref>left page</ref><box>[[0, 10, 500, 999]]</box> is older."),
        ("user", "  Sure?  Look <image> again.\n"),
        ("assistant", "Yes, I'm sure 🙂."),
    ],
    "clip": [
        ("user", "Frame-1: <image>\nFrame-2: <image>\nFrame-3: <image>\nWhat happens?"),
        ("assistant", "def f(x):\n    return x\t# café"),
    ],
}
