"""Template files: the shipped ones are whole, own ones replace sections, mistakes name line and slot."""

from __future__ import annotations

from pathlib import Path
from random import Random

import pytest

from tessera.annotations.job import WordingSampler
from tessera.annotations.wording import (
    FILE_NAMES,
    LANGUAGES,
    SECTIONS,
    SHIPPED,
    load_wording,
    read_phrasings,
    write_templates,
)
from tests.annotations.annotation_files import built, dialogue, instances, written


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("kind", SECTIONS)
def test_shipped_files_are_whole(kind: str, language: str) -> None:
    found = read_phrasings(SHIPPED / f"{kind}.{language}.txt", kind)
    assert set(found) == set(SECTIONS[kind])
    for section, phrasings in found.items():
        assert len(set(phrasings)) == len(phrasings)
        if section.endswith("question") and section != "plain.question":
            assert len(phrasings) >= 3, f"{kind}.{language}: [{section}] is always asked in the same words"


def test_nothing_but_template_files_is_shipped() -> None:
    assert sorted(file.name for file in SHIPPED.iterdir()) == sorted(FILE_NAMES)


def test_own_sections_replace_shipped_ones(tmp_path: Path) -> None:
    text = "# mine\n[detection.question]\nShow me {label}!\\nNow {{please}}.\n"
    written(tmp_path / "w" / "boxes.en.txt", text)
    wording = load_wording("boxes", tmp_path / "w")
    sampler = WordingSampler(wording["en"], "en", Random(0))
    said = sampler.say("detection.question", label="{dogs}")
    assert said == "Show me {dogs}!\nNow {please}."
    assert wording["zh"] == load_wording("boxes")["zh"]
    assert sampler.say("detection.answer", label="a", boxes="b") == "<ref>a</ref>b"
    out = tmp_path / "out"
    file = instances(tmp_path / "in", [(1, 5, 5, 50, 50)])
    built("boxes", file, out, templates=tmp_path / "w", forms=("detection",))
    assert dialogue(out)[0][0] == "<image>\nShow me dog!\nNow {please}."


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "[detection.question]\nFind {label}\nFind {thing} {label}\n",
            r":3: slot \{thing\} is unknown; .*label",
        ),
        ("[detection.answer]\n{label}\n", r":2: slot \{boxes\} is missing"),
        ("[detecting]\nx\n", r":1: section \[detecting\] is unknown; boxes has detection.question"),
        ("Find {label}\n", r":1: a phrasing before the first \[section\]"),
        ("[everything.question]\n\n# nothing\n", r"\[everything.question\] has no phrasing"),
        ("[detection.question]\nFind {label\n", r":2: .*; write \{slot\}"),
        ("[detection.question]\nFind {label!r}\n", r":2: slot \{label\} has a format"),
        ("[detection.question]\nFind {label:>9}\n", r":2: slot \{label\} has a format"),
        ("[detection.question]\nFind {label.__class__}\n", r":2: slot \{label.__class__\} is unknown"),
        ("[detection.question]\nFind {}\n", r":2: slot \{\} is unknown"),
    ],
)
def test_mistakes_name_file_line_and_slot(tmp_path: Path, text: str, message: str) -> None:
    file = written(tmp_path / "boxes.en.txt", text)
    with pytest.raises(ValueError, match=f"{file}{message}" if message.startswith(":") else message):
        load_wording("boxes", tmp_path)


def test_misspelt_file_names_are_errors(tmp_path: Path) -> None:
    written(tmp_path / "boxs.en.txt", "")
    with pytest.raises(ValueError, match=r"boxs.en.txt is unknown; names are boxes.en.txt"):
        load_wording("boxes", tmp_path)
    with pytest.raises(ValueError, match="is no folder; make one with --write-templates"):
        load_wording("boxes", tmp_path / "none")


def test_shipped_files_can_be_copied_for_editing(tmp_path: Path) -> None:
    assert len(write_templates(tmp_path / "w")) == len(FILE_NAMES)
    assert load_wording("views", tmp_path / "w") == load_wording("views")
    with pytest.raises(ValueError, match=r"boxes.en.txt is there already"):
        write_templates(tmp_path / "w")
