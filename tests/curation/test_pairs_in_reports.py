"""Preference pairs in checks, previews and pack pages; records of one kind in a stage of the other."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.cli.main import main
from tessera.curation.check import check_sources
from tessera.curation.report.packs import plan_view
from tessera.curation.report.pages import pack_page, preview_page
from tessera.curation.report.seen import look
from tessera.curation.survey import Survey, survey
from tessera.curation.values import survey_values
from tessera.imaging.grid import Tiling
from tessera.packing.config import Limits, PackingConfig
from tessera.packing.loader import PackLoader
from tessera.pages.page import render
from tessera.records.faults import DataError, Reason
from tessera.records.open import open_sources
from tessera.records.source import WeightedSource
from tests.records.jsonl_files import turns, write_picture, write_records

PAIR = {"image": "a.png", "question": "<image>\nwhat?", "chosen": "a cat and a dog", "rejected": "a cat"}
WORDS = {"question": "what is it?", "chosen": "a dog", "rejected": "a cat"}
TALK = {"conversations": turns("what is it?", "a cat")}
BAD = [
    (WORDS | {"rejected": "a dog"}, Reason.SAME_ANSWER),
    (WORDS | {"rejected": ""}, Reason.EMPTY_ANSWER),
    (PAIR | {"image": "gone.png"}, Reason.MISSING_FILE),
    (WORDS | {"question": "what? " * 300}, Reason.TOO_LONG),
    (WORDS | {"chosen": "a dog\0"}, Reason.NUL),
]
LIMITS = Limits(max_tokens=300, max_tiles=8)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    tokenizer = train_tokenizer(["what is in the picture? a cat and a dog"], 300)
    return Encoder(tokenizer, TEMPLATES["internvl2_5"], Tiling(tile_side=16, max_tiles=6), 4, system_text="")


def opened(folder: Path, *records: dict[str, Any], name: str = "a") -> tuple[WeightedSource, ...]:
    write_picture(folder / "a.png", (96, 16))
    return open_sources([write_records(folder / f"{name}.jsonl", records)])


def surveyed(folder: Path, encoder: Encoder, *records: dict[str, Any], **more: Any) -> Survey:
    (folder / "scratch").mkdir()
    return survey(opened(folder, *records), encoder, LIMITS, folder / "scratch", **more)


def test_pairs_and_their_answers_are_counted(tmp_path: Path, encoder: Encoder) -> None:
    found = surveyed(tmp_path, encoder, PAIR, WORDS, WORDS | {"chosen": "a cat and a dog"})
    (source,) = found.sources
    encoded = [encoder.encode(source.entry.source.conversation(n)).branches for n in range(3)]
    assert source.lengths.pairs == 3
    assert source.lengths.chosen.total == sum(chosen for chosen, _ in encoded)
    assert source.lengths.rejected.total == sum(rejected for _, rejected in encoded)
    values = survey_values(found, 1, 5)["sources"]["a"]["pairs"]
    assert values["count"] == sum(values["chosen"]["histogram"].values()) == 3
    assert "pairs" not in survey_values(surveyed_talk(tmp_path, encoder), 1, 5)["sources"]["b"]


def surveyed_talk(folder: Path, encoder: Encoder) -> Survey:
    (folder / "other").mkdir()
    return survey(opened(folder, TALK, name="b"), encoder, LIMITS, folder / "other")


def test_what_is_no_fault_gets_a_line(tmp_path: Path, encoder: Encoder) -> None:
    """A rejected answer that was cut off, and a source of both kinds."""
    mixed = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "a cat"}]}
    records = [
        {**mixed, "rejected_response": "a"},
        {**mixed, "images": [], "rejected_response": "a dog"},
        mixed,
    ]
    (source,) = surveyed(tmp_path, encoder, *records).sources
    assert not source.log.records
    cut, both = source.remarks
    assert cut.startswith("1 x the rejected answer is the beginning of the chosen one")
    assert "a.jsonl:1" in cut
    assert both.startswith("2 records have two answers and 1 have one: no stage trains both kinds")


def test_check_and_training_find_the_same_faults(tmp_path: Path, encoder: Encoder) -> None:
    records = [WORDS, *(record for record, _ in BAD)]
    (source,) = surveyed(tmp_path, encoder, *records).sources
    with pytest.raises(DataError) as caught:
        check_sources(opened(tmp_path, *records), encoder, LIMITS, pairs=True)
    told = [(fault.line, fault.reason) for fault in caught.value.faults]
    assert told == [(line, reason) for line, (_, reason) in enumerate(BAD, start=2)]
    assert sorted((fault.line, fault.reason) for fault in source.log.kept) == told
    (long,) = (fault for fault in source.log.kept if fault.reason is Reason.TOO_LONG)
    assert re.fullmatch(
        r"(\d+) of 300 tokens, 0 of 8 tiles; a prompt of \d+, answers of \d+ and \d+", long.detail
    )
    skipping = LIMITS.model_copy(update={"on_fault": "skip"})
    (left,), report = check_sources(opened(tmp_path, *records), encoder, skipping, pairs=True)
    assert (left.source.size, report.records, len(report.faults)) == (1, 6, 5)
    config = PackingConfig(max_tokens=300, max_tiles=8, epochs=1, on_fault="skip", most_skipped=1)
    with PackLoader(opened(tmp_path, *records), encoder, config) as loader:
        assert [pack.keys for pack in loader] == [("a:0",)]
        reasons = {fault.line: fault.reason for fault in loader.skipped}
        unseen = {4: Reason.UNUSABLE}  # without a check, a picture is first missed where it is measured
        assert reasons == {line: unseen.get(line, reason) for line, reason in told}
    for number, (_, reason) in enumerate(BAD, start=1):
        seen = look(opened(tmp_path, *records)[0], encoder, number)
        assert bool(seen.problem) == (reason is not Reason.TOO_LONG)


@pytest.mark.parametrize(("records", "pairs"), [((TALK, TALK), True), ((WORDS, PAIR), False)])
def test_records_of_the_other_kind_are_named(
    tmp_path: Path, encoder: Encoder, records: tuple[dict[str, Any], ...], pairs: bool
) -> None:
    """A pair in a stage of conversations would be trained on both answers."""
    with pytest.raises(DataError) as caught:
        check_sources(opened(tmp_path, *records), encoder, LIMITS, pairs=pairs)
    reason = Reason.ONE_ANSWER if pairs else Reason.PAIR
    assert [(fault.line, fault.reason) for fault in caught.value.faults] == [(1, reason), (2, reason)]
    assert f"objective '{'conversation' if pairs else 'preference'}'" in str(caught.value)
    check_sources(opened(tmp_path, *records), encoder, LIMITS, pairs=not pairs)
    check_sources(opened(tmp_path, *records), encoder, LIMITS)


def test_a_preview_shows_both_answers(tmp_path: Path, encoder: Encoder) -> None:
    (entry,) = opened(tmp_path, PAIR)
    seen = look(entry, encoder, 0)
    encoded = encoder.encode(entry.source.conversation(0))
    assert [side.name for side in seen.sides] == [
        f"{name}, {tokens} tokens"
        for name, tokens in zip(("chosen", "rejected"), encoded.branches, strict=True)
    ]
    assert seen.sides[0].pieces == ((False, "a cat"), (True, " and a dog"))
    assert seen.sides[1].pieces == ((False, "a cat"),)
    assert (seen.tokens, seen.trained) == (len(encoded.ids), int(encoded.weights.sum()))
    assert not any(piece.weight for piece in seen.pieces), "the prompt alone stands above them"
    page = render(preview_page("pairs", [seen]))
    assert "<mark> and a dog</mark>" in page and "rejected, " in page


def test_a_pack_page_shows_the_answers(tmp_path: Path, encoder: Encoder) -> None:
    config = PackingConfig(max_tokens=300, max_tiles=8, epochs=1)
    sources = opened(tmp_path, PAIR, WORDS)
    view = plan_view(sources, encoder, config, 9, 99, lambda *_: None)
    (pack,) = view.shown
    branches = {sample.name.rpartition(":")[2]: sample.branches for sample in pack}
    encoded = [encoder.encode(sources[0].source.conversation(n)).branches for n in range(2)]
    assert branches == {"1": encoded[0], "2": encoded[1]}
    page = render(pack_page(view))
    assert page.count("<b style=") == 4
    assert f"answers of {encoded[0][0]} and {encoded[0][1]} tokens" in page


def test_the_commands_show_pairs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    opened(tmp_path, PAIR, WORDS)
    (tmp_path / "meta.json").write_text(json.dumps({"pairs": {"root": ".", "annotation": "a.jsonl"}}))
    limits = ["--max-tokens", "4000", "--max-tiles", "40", "--workers", "0"]
    assert main(["data", "check", "meta.json", *limits, "--report", "check.html"]) == 0
    shown = capsys.readouterr().out
    assert "2 pairs; chosen answers " in shown and "tokens, rejected " in shown
    assert "tokens of chosen answers" in (tmp_path / "check.html").read_text()
    assert main(["data", "preview", "meta.json"]) == 0
    shown = capsys.readouterr().out
    assert "chosen, " in shown and "rejected, " in shown and "a cat and a dog" in shown
    assert main(["data", "pack", "meta.json", *limits, "--json"]) == 0
    packs = json.loads(capsys.readouterr().out)["shown"]
    assert all(len(sample["answers"]) == 2 for pack in packs for sample in pack)
