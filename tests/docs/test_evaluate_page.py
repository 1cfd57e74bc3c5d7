"""docs/evaluate.md is true: commands about one's own benchmark run, and so does its Python."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import PIL.Image
import pytest

from tessera.checkpoints.shipped import FOLDERS, assets_folder, shipped_folder
from tessera.cli.evaluation.command import EvaluateCommand
from tessera.cli.main import main
from tessera.evaluation.benchmarks.benchmark import Benchmark
from tessera.evaluation.benchmarks.presets import PRESETS
from tessera.evaluation.tasks import heldout_items
from tests.docs.pages import ROOT, blocks, commands, workplace

PAGE = ROOT / "docs" / "evaluate.md"
TEXT = PAGE.read_text(encoding="utf-8")
pytestmark = pytest.mark.skipif(
    not (assets_folder() / FOLDERS["model"]).is_dir(), reason="this checkout carries no trained model"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with workplace(tmp_path_factory.mktemp("evaluate")) as place:
        Path("MODEL").symlink_to(shipped_folder(), target_is_directory=True)
        rows = ["index\timage\tquestion\tanswer\tcategory"]
        for number, item in enumerate(heldout_items("read", 20)):
            source = item.scene.media[0].source
            assert isinstance(source, PIL.Image.Image)
            source.save(f"{number}.png")
            question = item.question
            rows.append(f"{number}\t{number}.png\t{question.text}\t{question.final}\t{question.kind}")
        Path("mine.tsv").write_text("\n".join(rows) + "\n")
        (declared,) = blocks(PAGE, "yaml")
        # The toy was never asked for "a single word or phrase".
        Path("mine.yaml").write_text(declared.replace("kind: short", "kind: open"))
        assert main(["playground", "train", "--count", "4"]) == 0
        yield place


def test_the_five_lines_are_enough_and_the_commands_run(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = [words[1:] for words in commands(PAGE) if "mine.yaml" in words]
    assert [len(words) for words in own] == [4, 8, 6]
    for words in own:
        capsys.readouterr()
        more = ["--json"] if "--seen-in" in words else []
        assert main([*words, *more]) == 0, capsys.readouterr().err
    told = capsys.readouterr().out
    assert "1 x 1 tiles" in told
    (left,) = Path("runs/evaluation").glob("*/mine/result.json")
    result = json.loads(left.read_text())
    assert result["figures"]["overall"] > 50
    notes = " ".join(result["notes"])
    assert "pictures add +" in notes and "seen, question: " in notes


def test_python_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answers = [json.dumps({"index": str(number), "prediction": "x"}) for number in range(20)]
    Path("answers.jsonl").write_text("\n".join(answers))
    (code,) = blocks(PAGE, "python")
    exec(compile(code, str(PAGE), "exec"), {})
    assert "'overall': 0.0" in capsys.readouterr().out


def test_the_page_names_what_there_is() -> None:
    assert all(f"`{preset}`" in TEXT for preset in PRESETS)
    kinds = ", ".join(Benchmark.model_json_schema()["properties"]["kind"]["enum"])
    assert kinds in TEXT
    options = {word for words in commands(PAGE) for word in words if word.startswith("--")}
    fields = {f"--{name.replace('_', '-')}" for name in EvaluateCommand.__dataclass_fields__}
    beside = {"--benchmarks", "--best-of", "--critic", "--majority"}
    assert options <= fields | beside, options - fields
