"""Drawn benchmarks in the files of published ones: every form opens, and all forms of one say the same."""

from pathlib import Path

import numpy as np
import pytest

from tessera.cli.main import main
from tessera.evaluation.benchmarks.benchmark import Benchmark
from tessera.evaluation.benchmarks.catalogue import find_benchmark
from tessera.evaluation.drawn.benchmarks import WRITERS, write_benchmarks
from tessera.evaluation.rows.item import Item
from tessera.evaluation.rows.open import open_items
from tessera.imaging.decode import decode_image
from tessera.imaging.video import probe_video

COUNT = 6


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("pyarrow")
    folder = tmp_path_factory.mktemp("drawn")
    assert [file.stem for file in write_benchmarks(folder, COUNT)] == list(WRITERS)
    return folder


def forms(folder: Path, name: str) -> tuple[Benchmark, dict[str, list[Item]]]:
    """The benchmark, and its questions by the name of the form."""
    found = find_benchmark(folder / f"{name}.yaml")
    # The files stand beside the declaration, wherever the data root is.
    return found, {k: list(open_items(v, Path("/nowhere"), folder / "store")) for k, v in found.data.items()}


@pytest.mark.parametrize("name", WRITERS)
def test_every_form_says_the_same(drawn: Path, name: str) -> None:
    benchmark, found = forms(drawn, name)
    assert benchmark.name == f"drawn_{name}" and found
    told = []
    for items in found.values():
        assert len(items) >= COUNT and len({item.index for item in items}) == len(items)
        pictures = {
            (item.reference.question, item.reference.answers): [
                np.asarray(decode_image(media.path)).tobytes()
                for media in item.media
                if media.kind == "image"
            ]
            for item in items
        }
        assert all(item.media and item.reference.question and item.reference.answers for item in items)
        told.append(sorted((*asked, *shown) for asked, shown in pictures.items()))
    assert all(other == told[0] for other in told)


def test_presets_differ_in_scorers_alone(drawn: Path) -> None:
    for name in WRITERS:
        benchmark = find_benchmark(drawn / f"{name}.yaml")
        assert set(benchmark.presets) == {"official", "vlmevalkit", "lmms-eval"}
        assert len({rules.prompt for rules in benchmark.presets.values()}) == 1


def test_rotations_share_the_first_rows_picture(drawn: Path) -> None:
    items = forms(drawn, "mmbench")[1]["vlmevalkit"]
    groups: dict[int, list[Item]] = {}
    for item in items:
        groups.setdefault(int(item.index) % 1_000_000, []).append(item)
    assert sorted(groups) == list(range(COUNT))
    for group in groups.values():
        first = group[0].reference
        assert len(group) == len(first.options) and len({item.media for item in group}) == 1
        right = {item.reference.options[item.reference.answers[0]] for item in group}
        assert len(right) == 1, "the letter follows its option"
        assert {item.reference.answers[0] for item in group} == set(first.options)


def test_boxes_are_in_pixels(drawn: Path) -> None:
    for item in forms(drawn, "refcoco")[1]["official"]:
        left, top, right, bottom = item.reference.fields["bbox"]
        assert 0 <= left < right <= item.reference.fields["width"] == 64
        assert 0 <= top < bottom <= item.reference.fields["height"] == 64


def test_clips_are_files_parts_of_files_and_folders(drawn: Path) -> None:
    items = forms(drawn, "mvbench")[1]["official"]
    by_task = {str(item.reference.fields["split"]): item.media[0] for item in items}
    assert set(by_task) == {"moving_direction", "action_sequence", "moving_attribute"}
    assert by_task["moving_attribute"].path.is_dir()
    whole, part = by_task["moving_direction"], by_task["action_sequence"]
    assert whole.start is None and part.start is not None and part.end is not None
    info = probe_video(part.path)
    assert info.fps == 2 and 0 < part.start < part.end == (info.frames - 1) / info.fps


def test_pairs_of_a_picture_are_yes_and_no(drawn: Path) -> None:
    items = forms(drawn, "mme")[1]["vlmevalkit"]
    for one, two in zip(items[::2], items[1::2], strict=True):
        assert (one.reference.answers, two.reference.answers) == (("Yes",), ("No",))
        assert one.media == two.media and one.reference.question != two.reference.question


def test_the_same_count_gives_the_same_files(drawn: Path, tmp_path: Path) -> None:
    write_benchmarks(tmp_path, COUNT)
    written = sorted(file.relative_to(tmp_path) for file in tmp_path.rglob("*") if file.is_file())
    for name in written:
        if name.suffix not in (".mp4", ".parquet"):
            assert (tmp_path / name).read_bytes() == (drawn / name).read_bytes(), name
    with pytest.raises(ValueError, match="benchmarks: 0 questions of each; give at least 1"):
        write_benchmarks(tmp_path, 0)


def test_the_command_names_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["playground", str(tmp_path / "drawn"), "--benchmarks", "2"]) == 0
    assert capsys.readouterr().out.split() == [str(tmp_path / "drawn" / f"{name}.yaml") for name in WRITERS]
    assert main(["playground", str(tmp_path / "none"), "--benchmarks", "-1"]) != 0
    assert "give at least 1" in capsys.readouterr().err
