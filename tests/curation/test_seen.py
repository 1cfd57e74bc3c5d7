"""Records as pages show them: tokens with their weights, tiles in their grid, samples chosen by a seed."""

from __future__ import annotations

import numpy as np
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.curation.report.seen import choose_records, cut_pieces, grid_columns, look
from tessera.imaging.grid import Tiling, choose_grid, count_tiles
from tessera.records.manifest import DatasetSpec
from tessera.records.open import open_sources
from tessera.records.source import WeightedSource
from tests.records.planted import SOUND, good, write_lines, write_media


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    tokenizer = train_tokenizer(["what is in the picture? a cat and a dog"], 300)
    return Encoder(tokenizer, TEMPLATES["internvl2_5"], Tiling(tile_side=16, max_tiles=6), 4, system_text="")


@pytest.fixture(scope="module")
def entry(tmp_path_factory: pytest.TempPathFactory) -> WeightedSource:
    root = tmp_path_factory.mktemp("seen") / "data"
    root.mkdir()
    write_media(root)
    records = [*SOUND, good(6, answer="naïve 猫 🐈‍⬛"), good(7, image="truncated.jpg")]
    file = write_lines(root / "a.jsonl", records)
    return open_sources([DatasetSpec(name="a", annotation=file, root=root)])[0]


def test_pieces_are_the_encoded_tokens(entry: WeightedSource, encoder: Encoder) -> None:
    for index in range(len(SOUND) + 1):
        seen = look(entry, encoder, index, "token")
        assert seen.place.endswith(f"a.jsonl:{index + 1}") and not seen.problem
        assert seen.trained == sum(len(piece.ids) for piece in seen.pieces if piece.weight == 1)
        assert sum(media.count for media in seen.media) == seen.tiles
    seen = look(entry, encoder, len(SOUND), "square")
    trained = "".join(piece.text for piece in seen.pieces if piece.weight)
    assert trained == "naïve 猫 🐈‍⬛<|im_end|>", "characters of several tokens are whole"
    assert sorted({piece.weight for piece in seen.pieces}) == pytest.approx([0.0, seen.trained**-0.5])


def test_media_boxes_and_faults(entry: WeightedSource, encoder: Encoder) -> None:
    boxed = look(entry, encoder, 4).media[0]
    assert [(box.name, box.corners) for box in boxed.boxes] == [("dog", (10, 20, 900, 800))]
    assert boxed.picture is not None and boxed.picture.size == (64, 16) and boxed.columns == 4
    assert not any(media.boxes for media in look(entry, encoder, 2).media), "of two pictures, which?"
    clip = look(entry, encoder, 3).media[0]
    assert clip.picture is None and 8 <= clip.count <= 32
    assert "truncated.jpg" in look(entry, encoder, len(SOUND) + 1).problem


def test_slots_of_a_picture_are_one_piece(encoder: Encoder) -> None:
    slot = encoder.tokenizer.token_id("<IMG_CONTEXT>")
    ids = np.array([5, slot, slot, slot, 6], dtype=np.int32)
    kinds = [(piece.kind, piece.text) for piece in cut_pieces(encoder, ids, np.zeros(5, np.float32))]
    assert kinds[1] == ("slots", "[3 slots]") and len(kinds) == 3


@pytest.mark.parametrize("size", [(100, 100), (640, 480), (2000, 300), (300, 2000), (1234, 777)])
@pytest.mark.parametrize("most", [1, 6, 12])
def test_the_grid_is_that_of_the_cut(size: tuple[int, int], most: int) -> None:
    tiling = Tiling(max_tiles=most)
    assert grid_columns(*size, count_tiles(*size, tiling), Tiling()) == choose_grid(*size, tiling)[0]


def test_choice_of_records(entry: WeightedSource) -> None:
    other = WeightedSource(entry.source)
    chosen = choose_records([entry, other], 9, seed=1)
    assert chosen == choose_records([entry, other], 9, seed=1) != choose_records([entry, other], 9, seed=2)
    assert len(set(chosen)) == 9 and [number for number, _ in chosen] == [0, 1] * 4 + [0]
    assert len(choose_records([entry, other], 99, seed=0)) == 2 * (len(SOUND) + 2)
