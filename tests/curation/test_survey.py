"""What `tessera data check` finds: planted faults, duplicates, lengths; and that memory stays where it is."""

from __future__ import annotations

import json
import tracemalloc
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.curation import duplicates, estimate, lengths
from tessera.curation.record_table import KEPT
from tessera.curation.repair import EXACT, write_repaired
from tessera.curation.survey import Survey, survey
from tessera.imaging.grid import Tiling
from tessera.packing.config import Limits
from tessera.packing.planning.plan import plan_packs
from tessera.records.faults import Reason
from tessera.records.manifest import DatasetSpec, PlaygroundSource, read_meta
from tessera.records.open import open_sources
from tessera.records.readers import json_bounds
from tests.imaging.clips.drawn_clips import write_clip
from tests.records.planted import PLANTED, SOUND, good, write_corpus, write_lines

LIMITS = Limits(max_tokens=600, max_tiles=40)


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    tokenizer = train_tokenizer(["what is in the picture? a cat and a dog word words"], 300)
    return Encoder(tokenizer, TEMPLATES["internvl2_5"], Tiling(tile_side=16, max_tiles=6), 4, system_text="")


def look_at(
    manifest: Path | list[DatasetSpec],
    encoder: Encoder,
    folder: Path,
    limits: Limits = LIMITS,
    headers_only: bool = False,
) -> Survey:
    table = folder / f"table{len(list(folder.glob('table*')))}"
    table.mkdir()
    specs = read_meta(manifest) if isinstance(manifest, Path) else manifest
    return survey(open_sources(specs), encoder, limits, table, headers_only=headers_only)


def one_file(folder: Path, records: list[Any], **settings: Any) -> list[DatasetSpec]:
    file = write_lines(folder / "records.jsonl", records)
    return [DatasetSpec(name="records", annotation=file, root=folder, **settings)]


def test_every_planted_fault_is_counted_by_its_reason_with_file_and_line(
    tmp_path: Path, encoder: Encoder
) -> None:
    found = look_at(write_corpus(tmp_path), encoder, tmp_path)
    sound, planted = found.sources
    assert (sound.log.records, sound.size) == (0, len(SOUND))
    assert (planted.log.records, planted.size) == (len(PLANTED), len(PLANTED))
    assert {fault.line: fault.reason for fault in planted.log.kept} == {
        line: reason for line, (reason, _) in enumerate(PLANTED, start=1)
    }
    assert planted.log.counts[Reason.OUTSIDE_ROOT] == 2
    assert all(str(fault.file).endswith("planted.jsonl") for fault in planted.log.kept)
    assert (found.records, found.faulty) == (len(SOUND) + len(PLANTED), len(PLANTED))


def test_workers_find_the_same(tmp_path: Path, encoder: Encoder) -> None:
    records = [record for _, record in PLANTED] * 12
    write_corpus(tmp_path)
    specs = one_file(tmp_path / "corpus", records)
    alone = look_at(specs, encoder, tmp_path)
    shared = look_at(specs, encoder, tmp_path, LIMITS.model_copy(update={"workers": 2}))
    assert shared.sources[0].log.counts == alone.sources[0].log.counts
    assert shared.sources[0].log.kept == alone.sources[0].log.kept
    assert np.array_equal(shared.table["signature"], alone.table["signature"])


def test_faults_beyond_a_number_are_counted_not_kept(tmp_path: Path, encoder: Encoder) -> None:
    found = look_at(one_file(tmp_path, [good(1), *[b"{broken"] * (KEPT + 7)]), encoder, tmp_path)
    log = found.sources[0].log
    assert (log.records, log.counts[Reason.BROKEN_JSON], len(log.kept)) == (KEPT + 7, KEPT + 7, KEPT)
    assert len(list(log.rows())) == KEPT + 7


def test_duplicates_are_found_across_sources(tmp_path: Path, encoder: Encoder) -> None:
    text = "the quick brown fox jumps over the lazy dog and then walks home along the river bank " * 3
    write_corpus(tmp_path)
    root = tmp_path / "corpus"
    first = [good(1, answer=text), good(2, image="good.jpg"), good(3, "another", "answer entirely")]
    second = [
        good(1, answer=text),  # the same in another file
        good(2, answer=text + "today"),  # nearly the same
        good(2, image="copy.jpg"),  # the same picture under another name
        good(3, image="other.png"),  # the same words, another picture
    ]
    specs = [
        DatasetSpec(name=name, annotation=write_lines(root / f"{name}.jsonl", records), root=root)
        for name, records in (("a", first), ("b", second))
    ]
    found = look_at(specs, encoder, tmp_path)
    a, b = found.sources
    assert (a.exact, a.near, a.repeated_ids) == (0, 0, 0)
    assert (b.exact, b.near, b.repeated_ids) == (2, 1, 1)
    lines = [(record[1], first[1]) for record, first in found.exact_pairs]
    assert lines == [(1, 1), (3, 2)]
    assert [(record[1], first[1]) for record, first in found.near_pairs] == [(2, 1)]
    by_name = look_at(specs, encoder, tmp_path, headers_only=True)
    assert by_name.sources[1].exact == 1


@pytest.mark.parametrize(
    ("policy", "faults", "dropped", "split"), [("error", 1, 0, 0), ("drop", 0, 1, 0), ("split", 0, 0, 1)]
)
def test_over_long_records_follow_the_policy(
    policy: Any, faults: int, dropped: int, split: int, tmp_path: Path, encoder: Encoder
) -> None:
    long = {"conversations": good(0)["conversations"] * 60}
    config = LIMITS.model_copy(update={"over_long": policy})
    source = look_at(one_file(tmp_path, [good(1), long]), encoder, tmp_path, config).sources[0]
    assert (source.log.counts[Reason.TOO_LONG], source.log.records) == (faults, faults)
    assert (source.lengths.too_long, source.lengths.dropped, source.lengths.split) == (1, dropped, split)
    assert source.lengths.items == (1 if not split else source.lengths.items) and source.lengths.items >= 1
    assert source.lengths.tokens.above == 1


def test_fewer_tiles(tmp_path: Path, encoder: Encoder) -> None:
    write_corpus(tmp_path)
    config = LIMITS.model_copy(update={"over_long": "fewer_tiles", "max_tiles": 2})
    specs = one_file(tmp_path / "corpus", [good(1, image="other.png"), good(2)])
    source = look_at(specs, encoder, tmp_path, config).sources[0]
    assert (source.lengths.shrunk, source.lengths.items, source.log.records) == (1, 2, 0)
    assert source.items.arrays()[1].max() <= 2


def test_a_clip_that_may_become_too_long_in_a_later_visit_is_a_fault_now(
    tmp_path: Path, encoder: Encoder
) -> None:
    """Eight frames would fit and thirty-two don't: the run would have stopped hours later."""
    write_corpus(tmp_path)
    specs = one_file(tmp_path / "corpus", [good(1, video="clip/")])
    found = look_at(specs, encoder, tmp_path, LIMITS.model_copy(update={"max_tiles": 31}))
    assert found.sources[0].log.counts == {Reason.TOO_LONG: 1}
    assert "32 of 31 tiles" in found.sources[0].log.kept[0].detail
    assert not look_at(specs, encoder, tmp_path, LIMITS.model_copy(update={"max_tiles": 32})).faulty


def test_histograms_and_packs_agree_with_the_encoder(tmp_path: Path, encoder: Encoder) -> None:
    records = [good(number, answer="word " * (number % 50 + 1)) for number in range(200)]
    specs = one_file(tmp_path, records, repeat_time=2)
    found = look_at(specs, encoder, tmp_path)
    reader = open_sources(specs)[0].source
    lengths = [encoder.measure(reader.conversation(number)) for number in range(200)]
    summary = found.sources[0].lengths
    assert summary.tokens.total == sum(length.tokens for length in lengths)
    assert summary.trained == sum(length.trained for length in lengths)
    assert int(summary.tokens.counts.sum()) == int(summary.tiles.counts[0]) == 200
    tokens = [length.tokens for length in lengths] * 2
    assert found.estimate.samples == 400
    assert found.estimate.packs == len(plan_packs(tokens, [0] * 400, 600, 40))
    assert found.estimate.steps(3) == -(-found.estimate.packs // 3)


def test_drawn_sources_are_measured_and_endless_ones_named(tmp_path: Path, encoder: Encoder) -> None:
    entries = open_sources([PlaygroundSource(name="drawn", count=6), PlaygroundSource(name="endless")])
    table = tmp_path / "table"
    table.mkdir()
    found = survey(entries, encoder, LIMITS, table)
    assert [source.name for source in found.sources] == ["drawn"] and found.endless == ["endless"]
    measured = [encoder.measure(entries[0].source.conversation(number)).tokens for number in range(6)]
    assert found.sources[0].lengths.tokens.total == sum(measured)


def test_the_clean_copy_passes_and_holds_every_good_record_once(tmp_path: Path, encoder: Encoder) -> None:
    manifest = write_corpus(tmp_path)
    root = manifest.parent
    mixed = [*SOUND[:2], PLANTED[0][1], SOUND[0], *SOUND[2:], PLANTED[-1][1]]
    write_lines(root / "sound.jsonl", mixed)
    found = look_at(manifest, encoder, tmp_path)
    fixed = write_repaired(found, tmp_path / "fixed")
    assert (fixed.kept, fixed.rejected) == (
        {"sound": len(SOUND), "planted": 0},
        {"sound": 3, "planted": len(PLANTED)},
    )
    again = look_at(fixed.manifest, encoder, tmp_path)
    assert (again.records, again.faulty, len(again.exact_pairs)) == (len(SOUND), 0, 0)
    kept = (tmp_path / "fixed" / "sound.jsonl").read_bytes().splitlines()
    whole = (root / "sound.jsonl").read_bytes().splitlines()
    assert kept == [whole[0], whole[1], *whole[4:7]], "lines are copied to the byte"
    rejects = [line for line in fixed.rejects.read_text().splitlines() if '"sound"' in line]
    assert Counter(EXACT in line for line in rejects) == {False: 2, True: 1}
    assert any(f'"line": 4, "reasons": [{{"field": "record", "reason": "{EXACT}"' in line for line in rejects)
    before = (root / "sound.jsonl").read_bytes()
    for taken in (tmp_path / "fixed", root):
        with pytest.raises(ValueError, match="is not empty"):
            write_repaired(found, taken)
    assert (root / "sound.jsonl").read_bytes() == before


def test_names_of_sources_never_share_a_file(tmp_path: Path, encoder: Encoder) -> None:
    specs = [
        DatasetSpec(
            name=name, annotation=write_lines(tmp_path / f"{n}.jsonl", [good(n, f"{n}?")]), root=tmp_path
        )
        for n, name in enumerate(("a b", "a/b"))
    ]
    fixed = write_repaired(look_at(specs, encoder, tmp_path), tmp_path / "fixed")
    assert [spec.name for spec in read_meta(fixed.manifest)] == ["a b", "a/b"]
    assert look_at(fixed.manifest, encoder, tmp_path).records == 2


def test_other_containers_are_written_as_lines(tmp_path: Path, encoder: Encoder) -> None:
    write_corpus(tmp_path)
    root = tmp_path / "corpus"
    (root / "all.json").write_text(json.dumps([*SOUND, good(9, answer=" ")]))
    specs = [DatasetSpec(name="all", annotation=root / "all.json", root=root, repeat_time=2.5)]
    fixed = write_repaired(look_at(specs, encoder, tmp_path), tmp_path / "fixed")
    assert fixed.kept == {"all": len(SOUND)} and fixed.rejected == {"all": 1}
    assert read_meta(fixed.manifest)[0].repeat_time == 2.5
    again = look_at(fixed.manifest, encoder, tmp_path)
    assert (again.records, again.faulty) == (len(SOUND), 0)


def peak_memory(records: int, folder: Path, encoder: Encoder) -> int:
    """Bytes that Python and numpy hold at most while the records are surveyed."""
    talk = [good(0, f"question {n}?", f"answer {n}")["conversations"] for n in range(40)]
    folder.mkdir()
    # Few different texts: the tokenizer remembers some, which is bounded, but not by so few records.
    specs = one_file(folder, [{"id": n, "conversations": talk[n % 40]} for n in range(records)])
    tracemalloc.start()
    try:
        look_at(specs, encoder, folder)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_the_records(
    tmp_path: Path, encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Python object for every record would take 50 bytes each or more."""
    monkeypatch.setattr(json_bounds, "BLOCK", 1 << 12)  # or such small files would be one block
    for module, name in ((duplicates, "AT_A_TIME"), (estimate, "AT_A_TIME"), (lengths, "BLOCK")):
        monkeypatch.setattr(module, name, 256)
    peak_memory(40, tmp_path / "warm", encoder)
    small, large = (peak_memory(count, tmp_path / str(count), encoder) for count in (300, 1300))
    assert large - small < 1000 * 20


def test_a_source_that_asks_about_pictures_and_has_none_gets_a_note(tmp_path: Path, encoder: Encoder) -> None:
    """Under a key that no rule knows, every picture of a source was dropped without a word."""
    blind = [good(n, f"What is in the picture, {n}?") | {"look_at": f"id {n}"} for n in range(5)]
    (remark,) = look_at(one_file(tmp_path, blind), encoder, tmp_path).sources[0].remarks
    assert "questions of 5 of 5 ask about one" in remark and "text_only: true" in remark
    assert not look_at(one_file(tmp_path, blind, text_only=True), encoder, tmp_path).sources[0].remarks
    assert (
        not look_at(one_file(tmp_path, [*blind[:1], *map(good, range(20))]), encoder, tmp_path)
        .sources[0]
        .remarks
    )


def test_pictures_whose_reading_loses_something_are_counted_and_named(
    tmp_path: Path, encoder: Encoder
) -> None:
    """A set of X-rays trained as white areas, and the check said nothing."""
    exif = PIL.Image.Exif()
    exif[0x0112] = 6
    rays = np.linspace(1000, 4000, 600).reshape(20, 30).astype(np.uint16)
    PIL.Image.fromarray(rays).save(tmp_path / "xray.png")
    PIL.Image.new("RGB", (30, 20)).save(tmp_path / "turned.jpg", exif=exif)
    records = [
        good(n, f"<image> {n}?") | {"image": name} for n, name in enumerate(["xray.png", "turned.jpg"] * 15)
    ]
    (source,) = look_at(one_file(tmp_path, records), encoder, tmp_path).sources
    flat, turned = source.remarks
    assert source.log.records == 0
    assert flat.startswith("15 x picture comes out as one flat colour; set pictures.depth")
    assert (
        flat.count("xray.png': values 1000 to 4000 become 255 to 255") == 15 and "records.jsonl:29: " in flat
    )
    assert turned.startswith("15 x EXIF orientation ignored; set pictures.orientation to exif")
    kept = {"depth": (0, 4095), "orientation": "exif"}
    (source,) = look_at(one_file(tmp_path, records, pictures=kept), encoder, tmp_path).sources
    assert not source.remarks and not source.log.records
    many = [good(n, f"<image> again {n}?") | {"image": "xray.png"} for n in range(300)]
    (source,) = look_at(one_file(tmp_path, many), encoder, tmp_path).sources
    assert source.remarks[0].count("\n") == 21 and source.remarks[0].endswith("and 280 more")


def test_pictures_that_documents_go_on_without_are_counted(tmp_path: Path, encoder: Encoder) -> None:
    write_corpus(tmp_path)
    pages = [{"images": ["good.jpg", None, "gone.png", "gone.jpg"], "texts": [None, "a", None, None]}] * 2
    settings: dict[str, Any] = {"pretraining": True, "missing_pictures": "leave_out"}
    (source,) = look_at(one_file(tmp_path / "corpus", pages, **settings), encoder, tmp_path).sources
    assert source.log.records == 0 and source.remarks == [
        "4 x picture that is missing or broken, left out of its document"
    ]
    (source,) = look_at(one_file(tmp_path / "corpus", pages, pretraining=True), encoder, tmp_path).sources
    assert source.log.counts == {Reason.MISSING_FILE: 4}


def test_the_clean_copy_keeps_words_and_settings(tmp_path: Path, encoder: Encoder) -> None:
    said = [{"role": "user", "content": "<image>\nIs this a tag?"}, {"role": "assistant", "content": "Yes."}]
    (tmp_path / "all.json").write_text(json.dumps([{"messages": said, "text_only": True}]))
    settings: dict[str, Any] = {"ignored_keys": ("img",), "foreign_marks": "words"}
    specs = [DatasetSpec(name="all", annotation=tmp_path / "all.json", root=tmp_path, **settings)]
    fixed = write_repaired(look_at(specs, encoder, tmp_path), tmp_path / "fixed")
    assert look_at(fixed.manifest, encoder, tmp_path).faulty == 0 and fixed.kept == {"all": 1}
    again = read_meta(fixed.manifest)[0]
    assert (again.ignored_keys, again.foreign_marks) == (("img",), "words")


def test_special_tokens_that_stay_characters_are_counted_and_named(tmp_path: Path, encoder: Encoder) -> None:
    """A model's own `<loc>` was cut into characters without a word, and its row never trained."""
    marked = good(1, "What is <loc> here?") | {"id": 7}
    (source,) = look_at(one_file(tmp_path, [good(0, "What?"), marked]), encoder, tmp_path).sources
    assert not source.remarks, "no token of this model"
    owned = replace(encoder, tokenizer=encoder.tokenizer.with_added(["<loc>"]), content_tokens=())
    (source,) = look_at(one_file(tmp_path, [good(0, "What?"), marked]), owned, tmp_path).sources
    (remark,) = source.remarks
    assert remark.startswith("1 x <loc> in the text is taken as characters") and "records.jsonl:2" in remark
    content = replace(owned, content_tokens=("<loc>",))
    (source,) = look_at(one_file(tmp_path, [good(0, "What?"), marked]), content, tmp_path).sources
    assert not source.remarks


def test_what_was_not_decoded_is_told(tmp_path: Path, encoder: Encoder) -> None:
    """With headers only, a clip that is cut off passes: the report has to say that nobody looked."""
    path = write_clip(tmp_path / "a.mp4", "mpeg4", 40, noisy=True, movflags="faststart")
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    talk = [{"from": "human", "value": "<video>?"}, {"from": "gpt", "value": "a"}]
    specs = one_file(tmp_path, [{"video": "a.mp4", "conversations": talk}])
    quick = look_at(specs, encoder, tmp_path, headers_only=True)
    assert quick.faulty == 0
    assert quick.sources[0].remarks == [
        "pictures and clips were not decoded: what is cut off or damaged was not looked for"
    ]
    whole = look_at(specs, encoder, tmp_path)
    assert whole.sources[0].log.counts == {Reason.CUT_VIDEO: 1} and whole.sources[0].remarks == []
