"""2,000 damaged records in every form and container: each is a record or a fault, and its neighbours stay."""

import io
import json
import random
import tarfile
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import yaml

from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.shipped import shipped_folder
from tessera.curation.survey import survey
from tessera.families.catalogue import fresh
from tessera.packing.config import Limits
from tessera.packing.samples.encode import SampleEncoder
from tessera.records.manifest import read_meta
from tessera.records.open import open_sources
from tests.mutation.damage import damage_bytes, damage_json
from tests.mutation.guard import each, guarded

RECORDS = 20
"""Damaged records of an example."""
HUMAN, MODEL = {"from": "human", "value": "<image>\nwhat?"}, {"from": "gpt", "value": "a cat"}
ASKED = {"role": "user", "content": "<image>what?"}
ANSWER = {"role": "assistant", "content": "a cat"}
FORMS: tuple[dict[str, Any], ...] = (
    {"id": 1, "image": "a.png", "width": 30, "height": 20, "conversations": [HUMAN, MODEL]},
    {"id": "2", "image": ["a.png", "b.png"], "conversations": [{**HUMAN, "value": "<image> <image>"}, MODEL]},
    {"id": 3, "conversations": [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]},
    {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "a.png"}}, "what?"]},
            {"role": "assistant", "content": "a cat"},
        ]
    },
    {"messages": [ASKED, {"role": "assistant", "content": "a cat"}], "images": ["a.png"]},
    {"query": "<image>what?", "response": "a cat", "images": ["a.png"], "history": [["hi", "hello"]]},
    {"image": "a.png", "caption": "a cat"},
    {"image": "a.png", "question": "<image>\nwhat?", "chosen": "a cat", "rejected": "a dog"},
    {"images": ["a.png"], "prompt": [ASKED], "chosen": [ANSWER], "rejected": [{**ANSWER, "content": "no"}]},
    {"messages": [ASKED, ANSWER], "images": ["a.png"], "rejected_response": "a dog"},
    {"images": ["a.png", None], "texts": [None, "a cat"]},
    {
        "messages": [
            {"role": "user", "content": "<image>find <ref-object>"},
            {"role": "assistant", "content": "<bbox>"},
        ],
        "images": ["a.png"],
        "objects": {"ref": ["cat"], "bbox": [[1, 2, 10, 12]]},
    },
)  # fmt: skip
SOUND = FORMS[0]


@pytest.fixture(scope="module")
def encoder() -> SampleEncoder:
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    return fresh("scale_model", tokenizer).encoder(tokenizer)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    (folder.parent / "secret.txt").write_text("secret")
    for name in ("a.png", "b.png"):
        pixels = np.random.default_rng(len(name)).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        PIL.Image.fromarray(pixels).save(folder / name)
    return folder


def look(manifest: Path, encoder: SampleEncoder) -> tuple[int, set[int]] | None:
    """Number of records, and the faulty ones; None when the check names the file or the manifest and ends."""
    try:
        sources = open_sources(read_meta(manifest))
        with tempfile.TemporaryDirectory(dir=manifest.parent) as folder:
            found = survey(sources, encoder, Limits(), Path(folder)).sources[0]
            return found.size, {record for record, _ in found.log.rows()}
    except ValueError as error:
        assert str(error)
        return None


def written(manifest: Path, annotation: str, **more: Any) -> Path:
    """A manifest of one source."""
    manifest.write_text(json.dumps({"x": {"annotation": annotation, **more}}))
    return manifest


@each(100)
def test_damaged_values(root: Path, encoder: SampleEncoder, own_cache: Path, number: int) -> None:
    """Between two sound records, which stay sound."""
    rng = random.Random(number)
    form = rng.choice(FORMS)
    damaged = [damage_json(form, rng) for _ in range(RECORDS)]
    lines = [json.dumps(record) for record in (form, *damaged, form)]
    (root / "a.jsonl").write_text("\n".join(lines))
    with guarded(root, own_cache):
        found = look(written(root / "meta.json", "a.jsonl", pretraining="texts" in form), encoder)
    assert found is not None and found[0] == RECORDS + 2
    assert not {0, RECORDS + 1} & found[1]


def jsonl(records: list[Any]) -> bytes:
    return "\n".join(map(json.dumps, records)).encode()


def array(records: list[Any]) -> bytes:
    return json.dumps(records).encode()


def parquet(records: list[Any]) -> bytes:
    arrow, out = pytest.importorskip("pyarrow"), io.BytesIO()
    pytest.importorskip("pyarrow.parquet").write_table(arrow.Table.from_pylist(records), out)
    return out.getvalue()


def tar(records: list[Any]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as shard:
        for number, record in enumerate(records):
            data = json.dumps(record).encode()
            info = tarfile.TarInfo(f"{number:04}.json")
            info.size = len(data)
            shard.addfile(info, io.BytesIO(data))
    return out.getvalue()


CONTAINERS = {"jsonl": jsonl, "json": array, "tar": tar}
if find_spec("pyarrow"):
    CONTAINERS["parquet"] = parquet


@each(200)
def test_damaged_files(root: Path, encoder: SampleEncoder, own_cache: Path, number: int) -> None:
    rng = random.Random(number)
    kind = rng.choice(list(CONTAINERS))
    data = damage_bytes(CONTAINERS[kind]([SOUND] * 5), rng)
    name = f"a.{rng.choice([kind, kind, kind, *CONTAINERS])}"
    (root / name).write_bytes(data)
    with guarded(root, own_cache):
        look(written(root / "meta.json", name), encoder)


@each(200)
def test_damaged_manifests(root: Path, encoder: SampleEncoder, own_cache: Path, number: int) -> None:
    rng = random.Random(number)
    (root / "a.jsonl").write_bytes(jsonl([SOUND] * 3))
    plain = {
        "x": {"annotation": "a.jsonl", "root": ".", "repeat_time": 1, "max_dynamic_patch": 6, "length": 3}
    }
    suffix = rng.choice(("json", "yaml"))
    file = root / f"meta.{suffix}"
    write = json.dumps if suffix == "json" else yaml.safe_dump
    if rng.random() < 0.7:
        file.write_text(str(write(damage_json(plain, rng))), errors="surrogatepass")
    else:
        file.write_bytes(damage_bytes(str(write(plain)).encode(), rng))
    with guarded(root, own_cache):
        look(file, encoder)
