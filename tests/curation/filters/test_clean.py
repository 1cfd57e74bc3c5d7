"""From verdicts and decisions to the clean manifest: nothing lost, lines to the byte, people overrule."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest

from tessera.chat.message import Image
from tessera.curation.filters.clean import Cleaned, file_name, write_clean
from tessera.curation.filters.config import FilterConfig
from tessera.curation.filters.outcome import Decision, Decisions, read_decisions
from tessera.curation.filters.run import Run
from tessera.records.manifest import read_meta
from tessera.records.open import open_sources
from tests.curation.filters.small import open_run, rows, silent, turns, write_manifest
from tests.curation.filters.test_run import LOOP, pictured, text_records


def cleaned(run: Run, manifest: Path, decisions: Decisions) -> Cleaned:
    return write_clean(run, read_meta(manifest), decisions, silent)


def lines_of(file: Path) -> list[str]:
    return file.read_text(encoding="utf-8").splitlines()


def test_kept_and_rejected_lines_are_the_input(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, a=text_records(), b=[*text_records(5), {"id": "broken"}])
    first, rest = (tmp_path / "a.jsonl").read_text(encoding="utf-8").split("\n", 1)
    odd = first.replace('{"id":', '{"note":  "ü",\t"id":')
    (tmp_path / "a.jsonl").write_text(f"{odd}\n\n{rest}", encoding="utf-8")
    run = open_run(manifest, tmp_path / "out")
    run.execute(None, silent)
    done = cleaned(run, manifest, {})
    rejects = [json.loads(line) for line in lines_of(done.rejects)]
    for name in ("a", "b"):
        before = lines_of(tmp_path / f"{name}.jsonl")
        after = lines_of(tmp_path / "out" / "clean" / f"{name}.jsonl")
        gone = [reject["text"] for reject in rejects if reject["source"] == name]
        assert sorted(after + gone) == sorted(filter(None, before))
        assert after == [line for line in before if line and line not in gone]
        assert done.sources[name]["kept"] == len(after)
    assert [(r["source"], r["record"], r["by"]) for r in rejects] == [
        ("a", 1, "rules"),
        ("b", 1, "rules"),
        ("b", 5, "rules"),
    ]
    assert {reason["rule"] for reason in rejects[0]["reasons"]} >= {"phrase_loop", "ngram_repetition"}
    assert done.sources["a"]["undecided"] == 1


def test_the_clean_manifest_opens_and_keeps_settings(tmp_path: Path) -> None:
    manifest = write_manifest(
        tmp_path / "in", web=[pictured(tmp_path / "in", LOOP), pictured(tmp_path / "in", "a cat")]
    )
    entries = json.loads(manifest.read_text())
    entries["web"] |= {"max_dynamic_patch": 4, "system": "be brief", "weight": 2.5, "academic": False}
    manifest.write_text(json.dumps(entries))
    run = open_run(manifest, tmp_path / "out")
    run.execute(None, silent)
    done = cleaned(run, manifest, {})
    (spec,) = read_meta(done.manifest)
    assert (spec.max_dynamic_patch, spec.system, spec.weight, spec.repeat_time) == (4, "be brief", 2.5, 2)
    source = open_sources([spec])[0].source
    assert source.size == spec.length == 1
    conversation = source.conversation(0)
    assert conversation == run.sources[0].source.conversation(1)
    (picture,) = conversation.media
    assert isinstance(picture, Image) and Path(str(picture.source)).is_file()


def test_a_person_overrules_both_ways(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, a=text_records())
    run = open_run(manifest, tmp_path / "out")
    run.execute(None, silent)
    decisions = {
        ("a", 1): Decision("keep", "a joke"),
        ("a", 3): Decision("drop", "no"),
        ("a", 5): Decision("drop"),
    }
    done = cleaned(run, manifest, decisions)
    rejects = [json.loads(line) for line in lines_of(done.rejects)]
    assert [(r["record"], r["by"], r["note"]) for r in rejects] == [(3, "person", "no"), (5, "person", "")]
    assert done.sources["a"] == {"kept": 6, "rejected": 2, "overruled": 3}


def test_undecided_borderline_records_follow_the_setting(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, a=text_records())
    run = open_run(manifest, tmp_path / "out", FilterConfig(borderline="drop"))
    run.execute(None, silent)
    assert cleaned(run, manifest, {}).sources["a"]["rejected"] == 2


def test_what_can_not_be_read_can_not_be_kept(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, a=[turns("q", "a"), {"id": 1}])
    run = open_run(manifest, tmp_path / "out")
    run.execute(None, silent)
    with pytest.raises(ValueError, match=r"a 1 \(.*a.jsonl:2\) can't be kept: .*repair the record"):
        cleaned(run, manifest, {("a", 1): Decision("keep")})
    assert not (run.out / "meta.json").exists() and not (run.out / "rejects.jsonl").exists()


def test_an_empty_source_is_named(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, a=[turns("q", LOOP)])
    run = open_run(manifest, tmp_path / "out")
    run.execute(None, silent)
    with pytest.raises(ValueError, match="a: no record is left"):
        cleaned(run, manifest, {})


def test_other_containers_become_internvl_lines(tmp_path: Path) -> None:
    records: list[dict[str, Any]] = [pictured(tmp_path, "a cat"), pictured(tmp_path, LOOP), turns("q", "a")]
    (tmp_path / "a.json").write_text(json.dumps(records))
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"a": {"root": ".", "annotation": "a.json", "format": "internvl"}}))
    run = open_run(manifest, tmp_path / "out")
    run.execute(None, silent)
    done = cleaned(run, manifest, {})
    (spec,) = read_meta(done.manifest)
    assert spec.format == "auto" and str(spec.annotation).endswith(".jsonl")
    kept = open_sources([spec])[0].source
    assert [kept.conversation(n) for n in range(2)] == [run.sources[0].source.conversation(n) for n in (0, 2)]
    (reject,) = map(json.loads, lines_of(done.rejects))
    assert "wait, let me check" in reject["text"]


def test_documents_of_other_containers_stay_documents(tmp_path: Path) -> None:
    pictured(tmp_path, "")
    documents = [
        {"texts": ["before", None, text], "images": [None, "p.png", None]} for text in ("after", LOOP)
    ]
    (tmp_path / "a.json").write_text(json.dumps(documents))
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"a": {"root": ".", "annotation": "a.json", "pretraining": True}}))
    run = open_run(manifest, tmp_path / "out")
    run.execute(None, silent)
    assert {row["record"] for row in rows(run)} == {1}, "documents are read as answers"
    (weighted,) = open_sources(read_meta(cleaned(run, manifest, {}).manifest))
    assert weighted.document and weighted.source.size == 1
    assert weighted.source.conversation(0) == run.sources[0].source.conversation(0)


def test_pictures_of_shards_are_written_beside_the_lines(tmp_path: Path) -> None:
    record = {**pictured(tmp_path, "a cat"), "image": "0.png"}
    with tarfile.open(tmp_path / "a.tar", "w") as shard:
        for name, data in (
            ("0.json", json.dumps(record).encode()),
            ("0.png", (tmp_path / "p.png").read_bytes()),
        ):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            shard.addfile(member, io.BytesIO(data))
    manifest = tmp_path / "manifest.json"
    manifest.write_text(json.dumps({"a": {"root": ".", "annotation": "a.tar"}}))
    run = open_run(manifest, tmp_path / "out")
    run.execute(None, silent)
    (weighted,) = open_sources(read_meta(cleaned(run, manifest, {}).manifest))
    (picture,) = weighted.source.conversation(0).media
    assert isinstance(picture, Image) and isinstance(picture.source, Path)
    assert picture.source.read_bytes() == (tmp_path / "p.png").read_bytes()


def test_names_of_sources_never_share_a_file() -> None:
    names = [file_name(name) for name in ("a", "a b", "a/b", "a_b")]
    assert names[0] == "a" and names[3] == "a_b" and len(set(names)) == 4
    assert not any("/" in name for name in names)


TWICE = "\n\n".join(json.dumps({"source": "a", "record": 1, "verdict": v}) for v in ("keep", "drop"))
STAMP, SIZES = "abc", [("a", 8)]


def test_decisions_of_the_page_and_plain_lines(tmp_path: Path) -> None:
    file = tmp_path / "decisions.json"
    entries = [
        {"source": "a", "record": 1, "verdict": "keep", "note": "n"},
        {"source": "a", "record": 2, "verdict": "drop"},
    ]
    expected = {("a", 1): Decision("keep", "n"), ("a", 2): Decision("drop")}
    file.write_text(json.dumps({"run": STAMP, "decisions": entries}))
    assert read_decisions(file, STAMP, SIZES) == expected
    file.write_text(
        "\n".join(map(json.dumps, [*entries, {"source": "a", "record": 3, "verdict": "borderline"}]))
    )
    assert read_decisions(file, "another run", SIZES) == expected
    file.write_text(json.dumps(entries[1]))
    assert read_decisions(file, STAMP, SIZES) == {("a", 2): Decision("drop")}


def test_rows_of_verdicts_are_decisions(tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path, a=text_records())
    run = open_run(manifest, tmp_path / "out")
    run.execute(None, silent)
    edited = tmp_path / "edited.jsonl"
    edited.write_text("\n".join(json.dumps({**row, "verdict": "keep"}) for row in rows(run)))
    decisions = read_decisions(edited, run.stamp(), SIZES)
    assert cleaned(run, manifest, decisions).sources["a"]["kept"] == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"run": "other", "decisions": []}', "made for another run"),
        (
            '{"source": "b", "record": 1, "verdict": "keep"}',
            "d.json:1: source 'b' is unknown; choose among a",
        ),
        ('{"source": "a", "record": 8, "verdict": "keep"}', "give a number from 0 to 7"),
        ('{"source": "a", "record": true, "verdict": "keep"}', "record True"),
        ('{"source": "a", "record": 1, "verdict": "maybe"}', "verdict 'maybe'; write keep or drop"),
        (TWICE, "d.json:3: a 1 is drop here and keep before"),
        ("keep a 1", "d.json:1: not a JSON object"),
        ("3", "d.json:1: 3 is not an object"),
    ],
)
def test_wrong_decisions_are_named(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "d.json"
    file.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_decisions(file, STAMP, SIZES)
