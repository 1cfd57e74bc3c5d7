"""A user's values in messages: one line, bounded, told what was cut, nothing that a terminal obeys."""

from pathlib import Path

import pytest

from tessera.runtime.shown import LONGEST, shown, visible

MOST = LONGEST + 30
"""A value and the words that say how much was cut."""
DEEP: list[object] = []
for _ in range(100_000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ("a" * 5000, "(5000 characters)"),
        (b"\0" * 5000, "(5000 bytes)"),
        ([0] * 5000, "(5000 entries)"),
        (10**5000, "16610 bits"),
        (ValueError("x" * 5000), "(5000 characters)"),
        ({str(n): ["x" * 500] * 9 for n in range(99)}, "…"),
        (DEEP, "list of 1"),
        (Path("/" + "a" * 3000 + "/end.json"), "end.json"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_a_large_value_is_one_line_that_tells_its_size(value: object, size: str) -> None:
    text = shown(value)
    assert size in text and len(text) <= MOST and "\n" not in text


@pytest.mark.parametrize(
    "sign", ["\x1b[2J", "\x9b", "\u202e", "\u2066", "\u200b", "\ud800", "\udcff", "\r", "\x07", "\u2028"]
)
@pytest.mark.parametrize(
    "made", [str, Path, ValueError, lambda text: {text: [text]}], ids=["str", "Path", "error", "dict"]
)
def test_what_a_terminal_would_obey_becomes_its_escape(sign: str, made: object) -> None:
    """A name with an escape sequence coloured the terminal, one with a bidi override lied about itself."""
    for text in (shown(made(f"a{sign}b\n")), shown(f"a{sign}b\n", bare=True), visible(f"a{sign}b")):
        assert text.isprintable() and "\\" in text


def test_lines_of_a_whole_message_stay() -> None:
    assert visible("two\nlines \x1b") == "two\nlines \\x1b"
    assert visible("Größe 图片 😀") == "Größe 图片 😀"


@pytest.mark.parametrize(
    "address",
    ["https://me:SECRET@host/a.jsonl", "s3://b/a?X-Amz-Signature=SECRET&b=1", "https://h/a?sig=SECRET"],
)
def test_no_credentials_of_an_address_are_printed(address: str) -> None:
    padded = "x" * 70 + address  # where the cut falls inside the secret
    for text in (
        shown(address),
        shown(address, bare=True),
        shown([address]),
        visible(address),
        shown(padded),
        shown(ValueError(padded)),
    ):
        assert "SECRET" not in text and "SEC" not in text
