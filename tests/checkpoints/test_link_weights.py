"""Links beside a model: kept by every way of writing it, refused where they don't belong to it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from pydantic import ValidationError
from safetensors.torch import load_file, save_file

from tessera.checkpoints.conversion.convert import convert
from tessera.checkpoints.links.weights import FILE, begin_links
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.quantised.writing import quantise_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.models.links.config import LinkConfig, LinkToken, MaskDecoderConfig
from tessera.models.vlm import VLM
from tests.engine import linked


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return linked.saved(tmp_path / "model")


def require_same_links(found: VLM) -> None:
    wanted = linked.model().links
    assert found.links is not None and wanted is not None
    stored = found.links.state_dict()
    for name, value in wanted.state_dict().items():
        assert torch.equal(stored[name].float(), value.to(stored[name].dtype).float()), name


def test_one_file_beside_the_model(folder: Path) -> None:
    loaded = load_checkpoint(folder)
    require_same_links(loaded.model)
    assert loaded.family == linked.family() and loaded.encoder.slots == linked.encoder().slots
    stored = load_file(folder / FILE)
    assert not {name for name in load_file(folder / "model.safetensors") if name.startswith("links.")}
    assert stored["queries"].shape == (9, 32)
    assert (
        json.loads((folder / "tessera.json").read_text())["family"]["links"]["tokens"][0]["token"] == "[SEG]"
    )


def test_other_ways_of_writing_keep_them(folder: Path, tmp_path: Path) -> None:
    convert(folder, tmp_path / "half", dtype=torch.bfloat16, add_tokens=["<loc>"])
    half = load_checkpoint(tmp_path / "half")
    require_same_links(half.model)
    assert half.encoder.slots.first == linked.encoder().slots.first + 1, "slots stand above all rows"
    quantise_checkpoint(folder, tmp_path / "int8", "int8")
    require_same_links(load_checkpoint(tmp_path / "int8", as_stored=True).model)
    with pytest.raises(ValueError, match="layout = 'official': link tokens .* in Tessera's own layout alone"):
        convert(folder, tmp_path / "official", "official")
    plain = linked.family().model_copy(update={"links": None})
    built = VLM(plain.model)
    save_checkpoint(folder, built, plain, linked.tokenizer())
    assert not (folder / FILE).exists(), "links of an earlier save would contradict the model"
    assert load_checkpoint(folder).model.links is None


def test_links_that_do_not_belong_are_refused(folder: Path, tmp_path: Path) -> None:
    other, path = tmp_path / "other", folder / FILE

    def refused(match: str) -> None:
        with pytest.raises(ValueError, match=match) as found:
            load_checkpoint(folder)
        assert "\n" not in str(found.value) and FILE in str(found.value)

    built = VLM(linked.family().model)
    with torch.no_grad():
        for parameter in built.parameters():
            parameter.normal_(0, 0.02)
    begin_links(built, linked.family(), seed=1)
    save_checkpoint(other, built, linked.family(), linked.tokenizer())
    kept = path.read_bytes()
    shutil.copy(other / FILE, path)
    refused("the model's final norm is another than that beside which the links were saved")
    path.write_bytes(kept)
    stored, told = load_file(path), {"links": linked.LINKS.model_dump_json()}
    save_file({name: x for name, x in stored.items() if name != "queries"}, path, told)
    refused("'queries' is missing; fetch the file again")
    save_file(stored | {"queries": stored["queries"][:5].clone()}, path, told)
    refused(r"queries has shape \(5, 32\), the model asks for \(9, 32\)")
    for odd in (float("nan"), float("inf")):
        save_file(stored | {"queries": torch.full_like(stored["queries"], odd)}, path, told)
        refused("queries holds numbers that are not finite: fetch the file again")
    save_file(stored | {"mark.norm": stored["mark.norm"] * float("nan")}, path, told)
    refused("the model's final norm is another")
    fewer = linked.LINKS.model_copy(update={"tokens": linked.LINKS.tokens[:1]})
    save_file(stored, path, {"links": fewer.model_dump_json()})
    refused(
        r"was written for \[SEG\] to masks \(3 queries\), the model's config says \[SEG\] to masks, \[GEN\]"
    )
    path.write_bytes(kept[:100])
    refused("holds no links that can be read: fetch it again")
    path.unlink()
    refused(
        r"is missing: the model's config declares \[SEG\] to masks, \[GEN\] to pictures; fetch the file, too"
    )


def test_a_token_that_the_tokenizer_lacks(folder: Path) -> None:
    content = json.loads((folder / "tessera.json").read_text())
    content["family"]["links"]["tokens"][1]["token"] = "[DRAW]"
    (folder / "tessera.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"links: '\[DRAW\]' is no token of the tokenizer; add it"):
        load_checkpoint(folder)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"tokens": ()}, "at least 1 item"),
        ({"tokens": linked.LINKS.tokens * 2}, "is declared twice; leave one out"),
        ({"masks": MaskDecoderConfig(width=32, heads=2)}, "has width 16, the mask decoder takes 32"),
        ({"tokens": linked.LINKS.tokens[1:]}, "no token names the decoder 'masks'"),
        (
            {"tokens": [LinkToken(token="[SEG]", width=4, decoder="x").model_dump() | {"queries": 0}]},
            "queries",
        ),
    ],
)
def test_declarations(change: dict[str, object], match: str) -> None:
    with pytest.raises(ValidationError, match=match):
        LinkConfig(**dict(linked.LINKS) | change)  # type: ignore[arg-type]
