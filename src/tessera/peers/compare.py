"""Where another engine's prompt differs from ours: ids aligned, pictures as one symbol, text around it.

The placeholders of a picture are hundreds of equal ids. They count as one symbol that knows its number of
tiles, so that two prompts align on what was said and a wrong grid shows as a wrong grid.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from difflib import SequenceMatcher
from itertools import groupby
from typing import Any, Literal, NamedTuple

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import IMG_CONTEXT

CONTEXT = 12
"""Symbols shown before and behind a difference."""


@dataclass(frozen=True)
class EnginePrompt:
    """What an engine feeds for a conversation.

    tokens: length of the prompt; ids: all of them, None when the engine tells only their number; tiles: per
    picture and frame, None where the ids do not show it. notes: what was assumed or left out on the way.
    """

    engine: str
    tokens: int
    ids: tuple[int, ...] | None = None
    tiles: tuple[int, ...] | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """One stretch in which the prompts differ: positions, ids and text of both, and the text around it."""

    ours_at: int
    theirs_at: int
    ours_ids: tuple[int, ...]
    theirs_ids: tuple[int, ...]
    ours: str
    theirs: str
    before: str
    behind: str


@dataclass(frozen=True)
class Comparison:
    """Two prompts side by side. `compared` says on what the verdict rests: ids, or their number alone."""

    ours: EnginePrompt
    theirs: EnginePrompt
    same: bool
    compared: Literal["ids", "count"]
    differences: tuple[Difference, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The comparison as plain values for JSON, without the ids of the whole prompts."""
        value = asdict(self)
        for side in ("ours", "theirs"):
            del value[side]["ids"]
        return value


def our_prompt(encoder: Encoder, conversation: Conversation) -> EnginePrompt:
    """The prompt for an answer as `encoder` writes it; reads pictures."""
    encoded = encoder.encode(conversation, generate=True)
    return EnginePrompt("tessera", len(encoded.ids), tuple(encoded.ids.tolist()), encoded.tiles_per_image)


def with_tiles(prompt: EnginePrompt, tokenizer: Tokenizer, tokens_per_tile: int) -> EnginePrompt:
    """A prompt with the tile counts that its placeholders show; a note where it does not list them all."""
    if prompt.ids is None or len(prompt.ids) != prompt.tokens:
        return prompt
    symbols = _symbols(prompt.ids, tokenizer.token_id(IMG_CONTEXT))
    runs = [symbol.run for symbol in symbols if symbol.run]
    if all(run % tokens_per_tile == 0 for run in runs):
        return replace(prompt, tiles=tuple(run // tokens_per_tile for run in runs))
    note = (
        f"{prompt.engine}: placeholder runs of {runs} tokens are no multiples of {tokens_per_tile}: its "
        "tiles have another number of tokens"
    )
    return replace(prompt, tiles=None, notes=(*prompt.notes, note))


def compare(ours: EnginePrompt, theirs: EnginePrompt, tokenizer: Tokenizer) -> Comparison:
    """Align two prompts; the verdict rests on the number of tokens where theirs does not show all its ids."""
    if ours.ids is None or theirs.ids is None:
        return Comparison(ours, theirs, ours.tokens == theirs.tokens, "count")
    whole = theirs.tokens == len(theirs.ids)
    image = tokenizer.token_id(IMG_CONTEXT)
    left, right = _symbols(ours.ids, image), _symbols(theirs.ids, image)
    matcher = SequenceMatcher(None, [s[:2] for s in left], [s[:2] for s in right], autojunk=False)
    found = tuple(
        Difference(
            ours_at=_position(left, a),
            theirs_at=_position(right, c),
            ours_ids=tuple(symbol.id for symbol in left[a:b]),
            theirs_ids=tuple(symbol.id for symbol in right[c:d]),
            ours=_text(tokenizer, left[a:b]),
            theirs=_text(tokenizer, right[c:d]),
            before=_text(tokenizer, left[max(0, a - CONTEXT) : a]),
            behind=_text(tokenizer, left[b : b + CONTEXT]),
        )
        for kind, a, b, c, d in matcher.get_opcodes()
        if kind != "equal"
    )
    same = not found if whole else ours.tokens == theirs.tokens
    return Comparison(ours, theirs, same, "ids" if whole else "count", found)


class _Symbol(NamedTuple):
    """`run` is the length of a run of placeholders (else 0), `at` its position in the prompt."""

    id: int
    run: int
    at: int


def _symbols(ids: Sequence[int], image: int) -> list[_Symbol]:
    symbols: list[_Symbol] = []
    for index, group in groupby(enumerate(ids), key=lambda place: place[1]):
        places = [at for at, _ in group]
        if index == image:
            symbols.append(_Symbol(image, len(places), places[0]))
        else:
            symbols += [_Symbol(index, 0, at) for at in places]
    return symbols


def _position(symbols: list[_Symbol], index: int) -> int:
    """Position of a symbol in the prompt; the prompt's length behind the last one."""
    if index < len(symbols):
        return symbols[index].at
    return symbols[-1].at + max(1, symbols[-1].run) if symbols else 0


def _text(tokenizer: Tokenizer, symbols: list[_Symbol]) -> str:
    """Readable text; a run of placeholders as `<IMG_CONTEXT>*768`, an unknown id as `<id 1>`."""
    pieces: list[str] = []
    for words, group in groupby(symbols, key=lambda s: not s.run and 0 <= s.id < tokenizer.vocab_size):
        if words:
            pieces.append(tokenizer.decode([symbol.id for symbol in group], skip_special=False))
        else:
            pieces += [f"{IMG_CONTEXT}*{s.run}" if s.run else f"<id {s.id}>" for s in group]
    return "".join(pieces)
