"""docs/data_formats.md: every example is read as the page says, and its tables are complete."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from tessera.chat.message import Conversation
from tessera.imaging.pictures.reading import PictureReading
from tessera.records.faults import Reason
from tessera.records.forms.detect import FormName, detect, parse_as
from tessera.records.manifest import DatasetSpec, read_meta
from tessera.records.record import RecordPlace
from tests.records.jsonl_files import write_picture


@pytest.fixture(scope="module")
def page(repo_root: Path) -> str:
    return (repo_root / "docs" / "data_formats.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("form", get_args(FormName))
def test_examples_are_read_and_found_by_themselves(page: str, form: FormName, tmp_path: Path) -> None:
    write_picture(tmp_path / "a.png", (40, 30))
    (block,) = re.findall(rf"```json {form}\n(.*?)```", page, re.DOTALL)
    records = [json.loads(line) for line in block.splitlines()]
    assert detect(records) == form
    for number, record in enumerate(records, start=1):
        place = RecordPlace(Path("page.jsonl"), number, tmp_path, pretraining=form == "document")
        found = parse_as(form, record, place)
        assert isinstance(found, Conversation)
        files = sum(json.dumps(record).count(ending) for ending in (".png", ".mp4", ".wav", "frames/"))
        assert len(found.media) == files


def test_forms_stand_in_the_order_in_which_they_are_tried(page: str) -> None:
    assert tuple(re.findall(r"^### (\w+)$", page, re.MULTILINE)) == get_args(FormName)


def test_the_manifest_is_read(page: str, tmp_path: Path) -> None:
    block, _ = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "manifest.yaml").write_text(block)
    captions, charts, clips, documents = read_meta(tmp_path / "manifest.yaml")
    assert (captions.annotation, captions.root) == (tmp_path / "captions.jsonl", Path("/data/photos"))
    assert (captions.data_augment, captions.max_dynamic_patch, captions.repeat_time) == (True, 12, 0.5)
    assert charts.annotation == "s3://bucket/charts/part-{000..063}.tar"
    assert (charts.repeat_time, charts.system) == (2.5, "Read the chart before you answer.")
    assert (clips.min_frames, clips.max_frames, clips.weight) == (8, 64, 1000)
    assert (documents.format, documents.pretraining) == ("document", True)


def test_the_choices_about_pictures_are_read(page: str, tmp_path: Path) -> None:
    _, block = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    (tmp_path / "manifest.yaml").write_text(block)
    (spec,) = read_meta(tmp_path / "manifest.yaml")
    assert spec.pictures == PictureReading(depth=(0, 4095), orientation="exif", transparency="white")
    table = page.split("| key of `pictures` |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == list(PictureReading.model_fields)


def test_the_tables_hold_every_key_and_every_reason(page: str) -> None:
    manifest = page.split("## Files")[0]
    rows = re.findall(r"^\| (`.*?) \|", manifest, re.MULTILINE)
    keys = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    assert keys == set(DatasetSpec.model_fields) - {"name"}
    rows = re.findall(r"^\| (.+?) \| (.+) \|$", page.split("## Faults")[1], re.MULTILINE)[1:]
    assert rows == [(str(reason), reason.remedy) for reason in Reason]
