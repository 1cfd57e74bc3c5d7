"""A record as the model gets it: tokens with loss weights, pictures with their tiles and boxes."""

import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import chain, islice, zip_longest

import numpy as np
import PIL.Image
from numpy.typing import NDArray

from tessera.chat.encoder import Encoded, Encoder
from tessera.chat.message import Conversation, Image
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import IMG_START
from tessera.imaging.decode import decode_image
from tessera.imaging.grid import Tiling, choose_grid
from tessera.packing.samples.clips import draw_clips, pick_frames
from tessera.packing.samples.encode import encoder_of
from tessera.packing.samples.weights import Averaging, weigh_tokens
from tessera.pages.blocks import MarkedText, NamedBox, Piece, ShownMedia
from tessera.pages.difference import mark_difference
from tessera.records.faults import DataError
from tessera.records.source import WeightedSource
from tessera.runtime.shown import counted
from tessera.scoring.boxes import parse_boxes

LARGEST = 480
"""Longer side in pixels of a picture that is kept for showing."""
TILE_SIDE = 72
"""Side in pixels of a tile that is kept for showing."""
MOST_TILES = 40
LONGEST_CHARACTER = 4
"""Bytes of a character, so many tokens may share one."""

# Nothing between two signs holds one of them, so that a text is passed once.
_BOX = re.compile(r"(?:<ref>((?:[^<]++|<(?!/?ref>))*+)</ref>\s*+)?<box>((?:[^<]++|<(?!/?box>))*+)</box>")


@dataclass(frozen=True)
class Seen:
    """One record. tokens, tiles, trained: its size; problem: why it can't be shown, if so.

    sides: the answers of a record that has several, with what differs marked; `pieces` are its prompt's.
    """

    source: str
    place: str
    pieces: tuple[Piece, ...] = ()
    media: tuple[ShownMedia, ...] = ()
    tokens: int = 0
    tiles: int = 0
    trained: int = 0
    problem: str = ""
    sides: tuple[MarkedText, ...] = ()


def choose_records(entries: Sequence[WeightedSource], count: int, seed: int) -> list[tuple[int, int]]:
    """(source, record) of `count` random records, all sources in turn, none twice."""
    rng = random.Random(seed)
    sizes = [count if entry.source.size is None else entry.source.size for entry in entries]
    orders = [rng.sample(range(size), min(count, size)) for size in sizes]
    turns = zip_longest(*(reversed(order) for order in orders))
    chosen = ((number, record) for turn in turns for number, record in enumerate(turn) if record is not None)
    return list(islice(chosen, count))


def look(entry: WeightedSource, encoder: Encoder, index: int, averaging: Averaging = "square") -> Seen:
    """A record as training would encode it in its first visit; a faulty one says so."""
    file, line = entry.source.place(index)
    name, place = entry.source.name, f"{file}:{line}"
    try:
        conversation = pick_frames(draw_clips(entry.source.conversation(index), entry, 0, index))
        encoded = encoder_of(entry, encoder).encode(conversation)
        media = _media(conversation, encoder, encoded)
    except (ValueError, OSError) as error:
        faults = error.faults if isinstance(error, DataError) else (error,)
        return Seen(name, place, problem="; ".join(map(str, faults)))
    weights = weigh_tokens(encoded.weights, averaging)
    prompt = len(encoded.ids) - sum(encoded.branches)
    pieces = tuple(cut_pieces(encoder, encoded.ids[:prompt], weights[:prompt]))
    trained, sides = int(np.count_nonzero(weights)), _sides(conversation, encoded)
    return Seen(name, place, pieces, media, len(encoded.ids), len(encoded.tiles), trained, sides=sides)


def _sides(conversation: Conversation, encoded: Encoded) -> tuple[MarkedText, ...]:
    """The chosen answer and the others, each with its tokens and the words that its counterpart lacks."""
    if not encoded.branches:
        return ()
    chosen, *others = (answer.text for answer in conversation.answers)
    marked = [mark_difference(chosen, other) for other in others]
    lengths = [counted(tokens, "token") for tokens in encoded.branches]
    rejected = zip(lengths[1:], marked, strict=True)
    return (
        MarkedText(f"chosen, {lengths[0]}", marked[0][0], True),
        *(MarkedText(f"rejected, {length}", pieces[1], False) for length, pieces in rejected),
    )


def cut_pieces(encoder: Encoder, ids: NDArray[np.int32], weights: NDArray[np.float32]) -> Iterator[Piece]:
    """Tokens as text, in order; runs of picture slots as one piece, and the slots of each link token."""
    tokenizer = encoder.tokenizer
    slot = tokenizer.token_id(encoder.template.tokens.context)
    special = {token.id for token in tokenizer.added.values() if token.special}
    listed, at = ids.tolist(), 0
    while at < len(listed):
        end = at + 1
        if encoder.slots.holds(listed[at]):
            while end < len(listed) and listed[end] == listed[end - 1] + 1:
                end += 1
            yield Piece(f"[{end - at} slots]", tuple(listed[at:end]), 0.0, "slots")
        elif listed[at] == slot:
            while end < len(listed) and listed[end] == slot:
                end += 1
            yield Piece(f"[{end - at} slots]", (slot,), 0.0, "slots")
        elif listed[at] in special:
            yield Piece(_text(tokenizer, listed[at:end]), (listed[at],), float(weights[at]), "control")
        else:
            end, text = _character(tokenizer, listed, at)
            yield Piece(text, tuple(listed[at:end]), float(weights[at:end].max()))
        at = end


def _character(tokenizer: Tokenizer, ids: list[int], at: int) -> tuple[int, str]:
    """End and text of the shortest run of tokens from `at` that doesn't cut a character."""
    ends = range(at + 1, min(at + LONGEST_CHARACTER, len(ids)) + 1)
    runs = ((end, _text(tokenizer, ids[at:end])) for end in ends)
    one = next(runs)
    return next((run for run in chain([one], runs) if not run[1].endswith("\ufffd")), one)


def _text(tokenizer: Tokenizer, ids: list[int]) -> str:
    """Text of ids in the middle of others: some tokenizers drop the space of a first word."""
    whole = tokenizer.decode([tokenizer.token_id(IMG_START), *ids], skip_special=False)
    return whole.removeprefix(IMG_START)


def _media(conversation: Conversation, encoder: Encoder, encoded: Encoded) -> tuple[ShownMedia, ...]:
    parts = conversation.media
    boxes = tuple(_boxes(conversation)) if len(parts) == 1 and isinstance(parts[0], Image) else ()
    found, start = [], 0
    for part, span in zip(parts, encoder.spans(conversation), strict=True):
        count = sum(span.tiles)
        tiles = tuple(_small(tile) for tile in encoded.tiles[start : start + min(count, MOST_TILES)])
        start += count
        media = ShownMedia("clip", None, tiles, count, boxes=boxes)
        found.append(_with_picture(media, part, encoder) if isinstance(part, Image) else media)
    return tuple(found)


def _with_picture(media: ShownMedia, part: Image, encoder: Encoder) -> ShownMedia:
    picture = decode_image(part.source, reading=part.reading or encoder.pictures)
    name = f"{picture.width} x {picture.height}"
    columns = 0 if part.joined else grid_columns(picture.width, picture.height, media.count, encoder.tiling)
    picture = picture.copy() if picture is part.source else picture
    picture.thumbnail((LARGEST, LARGEST))
    return replace(media, name=name, picture=picture, columns=columns)


def grid_columns(width: int, height: int, count: int, tiling: Tiling) -> int:
    """Columns of the grid of a picture that was cut into `count` tiles, the thumbnail included."""
    cut = count - 1 if tiling.thumbnail and count > 1 else count
    # The grid that won among more candidates wins among those of its own area and below.
    limits = {"max_tiles": cut, "min_tiles": min(tiling.min_tiles, cut)}
    return choose_grid(width, height, tiling.model_copy(update=limits))[0]


def _small(tile: NDArray[np.uint8]) -> PIL.Image.Image:
    picture = PIL.Image.fromarray(tile)
    return picture.resize((TILE_SIDE, TILE_SIDE)) if picture.width > TILE_SIDE else picture


def _boxes(conversation: Conversation) -> Iterator[NamedBox]:
    for message in conversation.messages:
        for name, numbers in _BOX.findall(message.text):
            # As they are written: a fault, such as fractions, shall be seen.
            yield from (NamedBox(name, corners) for corners in parse_boxes(numbers, scale=1.0))
