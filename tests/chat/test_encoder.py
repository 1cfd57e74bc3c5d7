"""Pictures and clips through the encoder: counts, budgets, labels, and `measure` against `encode`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Image, Message, Text, Video, ask, say
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.imaging.grid import Tiling

Get = Callable[[str], Tokenizer]
RED = PIL.Image.new("RGB", (64, 64), (255, 0, 0))


@pytest.fixture
def encoder(real_tokenizer: Get) -> Encoder:
    return Encoder(real_tokenizer("internvl3"), TEMPLATES["internvl2_5"], Tiling(), 256)


def check(encoder: Encoder, conversation: Conversation) -> tuple[int, ...]:
    """`measure` promises what `encode` gives, and the placeholders match the tiles."""
    lengths, encoded = encoder.measure(conversation), encoder.encode(conversation)
    assert (lengths.tokens, lengths.tiles) == (len(encoded.ids), len(encoded.tiles))
    assert lengths.trained == int(encoded.weights.sum())
    slots = int((encoded.ids == encoder.tokenizer.token_id("<IMG_CONTEXT>")).sum())
    assert slots == len(encoded.tiles) * encoder.tokens_per_tile
    assert sum(encoded.tiles_per_image) == len(encoded.tiles)
    assert (encoded.ids.dtype, encoded.weights.dtype, encoded.tiles.dtype) == (np.int32, np.float32, np.uint8)
    return encoded.tiles_per_image


def test_measure_equals_encode_on_real_pictures(encoder: Encoder, shared_data: Path) -> None:
    names = [
        "red_panda_1000x747.jpg",
        "exif_orientation6_128x128.jpg",
        "palette_4x4.png",
        "flower_480x360.webp",
    ]
    for name in names:
        talk = (ask("what?", [shared_data / "images" / name]), say("assistant", "this"))
        check(encoder, Conversation(talk))


def test_the_tile_budget_is_shared_by_the_pictures(encoder: Encoder, shared_data: Path) -> None:
    """docs/facts/imaging.md: N pictures get max(1, 12 // N) tiles each, every one with its own thumbnail."""
    panda = shared_data / "images" / "red_panda_1000x747.jpg"  # 4:3
    assert check(encoder, Conversation((ask("?", [panda]),))) == (13,)
    assert check(encoder, Conversation((ask("?", [panda, panda]),))) == (7, 7)
    later = (ask("?", [panda]), say("assistant", "a"), ask("?", [panda]))
    assert check(encoder, Conversation(later)) == (7, 7)
    assert check(encoder, Conversation((ask("?", [RED] * 13),))) == (1,) * 13
    own = Message("user", (Image(panda, max_tiles=1), Image(panda), Text("?")))
    assert check(encoder, Conversation((own,))) == (1, 7)


def test_pictures_are_labelled_when_there_are_several(encoder: Encoder) -> None:
    text = encoder.render_text(Conversation((ask("which?", [RED, RED]),)), generate=True)
    tail = "Image-1: <img><IMG_CONTEXT>*256</img>\nImage-2: <img><IMG_CONTEXT>*256</img>\nwhich?<|im_end|>\n"
    assert text.endswith(tail + "<|im_start|>assistant\n")


@pytest.mark.parametrize("name", ["drawing_224x224.mp4", "flipping_a_pancake.mkv"])
def test_clips(name: str, real_tokenizer: Get, shared_data: Path) -> None:
    tiling = Tiling(tile_side=32)
    label = "Frame{index}: "
    encoder = Encoder(real_tokenizer("internvl3"), TEMPLATES["internvl2_5"], tiling, 4, label, frames=3)
    path = shared_data / "videos" / name
    assert check(encoder, Conversation((ask("?", videos=[path]),))) == (1, 1, 1)
    short = Conversation((ask("?", [RED], [Video(path, start=1, end=2, frames=2)]),))
    assert check(encoder, short) == (5, 1, 1)  # a picture may have tiles, frames not
    assert "</img>\nFrame1: <img><IMG_CONTEXT>*4</img>\nFrame2: <img>" in encoder.render_text(short)


def test_decoded_frames(real_tokenizer: Get) -> None:
    frames = tuple(PIL.Image.new("RGB", (64, 64), (i, 0, 0)) for i in range(6))
    tiling = Tiling(tile_side=64)
    encoder = Encoder(real_tokenizer("internvl3"), TEMPLATES["internvl2_5"], tiling, 4, max_frames=6)
    encoded = encoder.encode(Conversation((ask("?", videos=[Video(frames)]),)))
    assert [int(t[0, 0, 0]) for t in encoded.tiles] == [0, 1, 2, 3, 4, 5]
    assert check(encoder, Conversation((ask("?", videos=[Video(frames, frames=2)]),))) == (1, 1)
    with pytest.raises(ValueError, match=r"video\.frames: 7"):
        encoder.encode(Conversation((ask("?", videos=[Video((*frames, RED))]),)))
    with pytest.raises(ValueError, match="no times"):
        encoder.encode(Conversation((ask("?", videos=[Video(frames, start=1)]),)))


def test_a_picture_of_tile_size_is_taken_as_it_is(real_tokenizer: Get) -> None:
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (64, 64, 3), dtype=np.uint8)
    encoder = Encoder(
        real_tokenizer("internvl3"), TEMPLATES["internvl2_5"], Tiling(tile_side=64), 16, system_text=""
    )
    encoded = encoder.encode(Conversation((ask("?", [PIL.Image.fromarray(pixels)]),)), generate=True)
    assert np.array_equal(encoded.tiles, pixels[None])
    assert encoded.weights.sum() == 0


def test_text_only(encoder: Encoder) -> None:
    encoded = encoder.encode(Conversation((say("user", "hi"), say("assistant", "ho"))))
    assert encoded.tiles.shape == (0, 448, 448, 3)
    assert encoded.tiles_per_image == ()


def test_stop_ids_and_description(encoder: Encoder) -> None:
    assert encoder.stop_ids == {151645}
    described = encoder.describe()
    assert described["template"] == "internvl2_5"
    assert described["system_text"] == TEMPLATES["internvl2_5"].system_text


def test_a_tokenizer_without_the_nine_tokens_is_refused(tokenizer_folder: Callable[[str], Path]) -> None:
    bare = load_tokenizer(tokenizer_folder("llama2"))
    with pytest.raises(ValueError, match=r"<IMG_CONTEXT>.*with_added"):
        Encoder(bare, TEMPLATES["internvl_zh"], Tiling(), 256)
    with pytest.raises(ValueError, match=r"'internvl2_5'.*<\|im_end\|>"):
        Encoder(bare.with_added(), TEMPLATES["internvl2_5"], Tiling(), 256)


def test_wrong_tile_limit(encoder: Encoder) -> None:
    with pytest.raises(ValueError, match=r"image\.max_tiles: 0"):
        encoder.measure(Conversation((Message("user", (Image(RED, max_tiles=0),)),)))
