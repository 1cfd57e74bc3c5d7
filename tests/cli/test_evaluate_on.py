"""`tessera evaluate --on`: a benchmark of one's own from its file to figures, pages and comparisons."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tessera.align.critics.critic import Judged
from tessera.align.critics.process import ProcessCritic
from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.evaluation.shards import Shard
from tessera.cli.main import main
from tessera.evaluation.tasks import heldout_items
from tests.serve.served import Served, serving

HEAD = """name: mine
kind: {kind}
data: {{own: {{file: mine.tsv, index: index, image: image{options}}}}}
scorer: {{name: {scorer}}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twelve drawn questions as a table, and a choice among three for each."""
    folder = tmp_path_factory.mktemp("mine")
    with (folder / "mine.tsv").open("w", encoding="utf-8") as stream:
        table = csv.writer(stream, delimiter="\t")
        table.writerow(["index", "image", "question", "answer", "category", "A", "B", "C"])
        for number, item in enumerate(heldout_items("count", 12)):
            kept, source = io.BytesIO(), item.scene.media[0].source
            source.save(kept, "PNG")  # type: ignore[union-attr]
            picture = base64.b64encode(kept.getvalue()).decode()
            final = item.question.final
            table.writerow([number, picture, item.question.text, final, item.question.kind, final, "x", "y"])
    (folder / "mine.yaml").write_text(HEAD.format(kind="open", options="", scorer="exact_match"))
    return folder


def evaluate(capsys: pytest.CaptureFixture[str], *words: object) -> list[dict[str, Any]]:
    code = main(["evaluate", *map(str, words), "--json"])
    found = capsys.readouterr()
    assert code == 0, found.err
    told: list[dict[str, Any]] = json.loads(found.out)
    return told


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def test_from_a_table_to_a_page(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    (seen, blind) = evaluate(capsys, "--on", folder / "mine.yaml", "--to", run, "--blind", "--export", "tsv")
    assert seen["figures"]["overall"] > 55 > blind["figures"]["overall"]
    low, high = seen["intervals"]["overall"]
    assert 0 < low < seen["figures"]["overall"] < high <= 100
    assert any(note.startswith("pictures add +") for note in seen["notes"])
    kept = lines(run / "mine/predictions.jsonl")
    assert [line["index"] for line in kept] == [str(number) for number in range(12)]
    assert kept[0]["prompt"].startswith("<image>\nhow many") and kept[0]["tiles"] == [[1, 1]]
    assert sum(line["score"] for line in kept) / 12 * 100 == pytest.approx(seen["figures"]["overall"])
    result = json.loads((run / "mine/result.json").read_text())
    assert result["settings"]["prompt"] == "{{ question }}" and result["preset"].startswith("vlmevalkit@")
    assert "<html" in (run / "mine/page.html").read_text(encoding="utf-8")
    assert main(["evaluate", "--on", str(folder / "mine.yaml"), "--to", str(run), "--explain", "3"]) == 0
    explained = capsys.readouterr().out
    assert "1 x 1 tiles" in explained and "taken for the answer" in explained
    # Scoring the file that was written for others gives the same figures, and no question flips.
    given = run / "mine/shipped_mine.tsv"
    words = ("--on", folder / "mine.yaml", "--to", tmp_path / "again", "--predictions", given)
    assert evaluate(capsys, *words)[0]["figures"] == seen["figures"]
    assert main(["evaluate", "--compare", str(run), str(tmp_path / "again"), "--json"]) == 0
    compared = json.loads(capsys.readouterr().out)["benchmarks"]["mine"]
    assert compared["figures"]["overall"]["difference"] == 0 and not compared["flips"]


def test_what_counts_as_said(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Thoughts unless they are kept; white space outside where the preset's harness looks at it."""
    own, told = folder / "said.yaml", tmp_path / "told.jsonl"
    own.write_text(HEAD.format(kind="short", options="", scorer="relaxed, rules: lmms-eval"))
    with (folder / "mine.tsv").open(newline="") as rows, told.open("w") as stream:
        for row in csv.DictReader(rows, delimiter="\t"):
            said = f"<think>9</think>{row['answer']}"
            stream.write(json.dumps({"index": row["index"], "prediction": said}) + "\n")
    words = ("--on", own, "--to", tmp_path, "--predictions", told)
    assert evaluate(capsys, *words)[0]["figures"]["overall"] == 100
    assert evaluate(capsys, *words, "--keep-thought")[0]["figures"]["overall"] == 0
    told.write_text(told.read_text().replace("<think>9</think>", "").replace('"}', '\\n"}'))
    assert evaluate(capsys, *words, "--preset", "lmms-eval")[0]["figures"]["overall"] == 100


def test_shards_make_one_run(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["evaluate", "--on", str(folder / "mine.yaml"), "--to", str(tmp_path / "parts"), "--shard"]
    assert main([*words, "2/2"]) == 0
    assert "shard 2/2 is done; the last of the others scores all: --shard 1/2" in capsys.readouterr().out
    assert not (tmp_path / "parts/mine/result.json").exists()
    assert main([*words, "1/2"]) == 0
    capsys.readouterr()
    evaluate(capsys, "--on", folder / "mine.yaml", "--to", tmp_path / "whole")
    one, two = (lines(tmp_path / name / "mine/predictions.jsonl") for name in ("parts", "whole"))
    assert [line["prediction"] for line in one] == [line["prediction"] for line in two]


def test_a_run_goes_on_where_it_ended(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--on", folder / "mine.yaml", "--to", tmp_path)
    first = evaluate(capsys, *words)
    answers = tmp_path / "mine/asked.answers"
    kept = answers.read_bytes().splitlines(keepends=True)
    changed = kept[0].replace(b'"content":"', b'"content":"kept: ')
    assert changed != kept[0]
    answers.write_bytes(changed + kept[1] + kept[2][:40])  # a process that was killed
    again = evaluate(capsys, *words)
    said = [line["prediction"] for line in lines(tmp_path / "mine/predictions.jsonl")]
    assert sum(text.startswith("kept: ") for text in said) == 1, "what was answered is not asked again"
    assert again[0]["answered"] == first[0]["answered"] == 12


def test_other_orders_of_options(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = folder / "orders.yaml"
    text = HEAD.format(kind="choice", options=", options: [A, B, C]", scorer="choice")
    own.write_text(text.replace("name: mine", "name: orders"))
    (told,) = evaluate(capsys, "--on", own, "--to", tmp_path, "--order", "--new-tokens", "4", "--count", "5")
    assert told["questions"] == 5 and told["answered"] == 15
    assert "same choice in every order" in told["robustness"]["order of options"]
    assert json.loads((tmp_path / "orders/result.json").read_text())["estimates"]["questions"] == 5


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as server:
        yield server


def test_a_server_answers_as_the_model_does(
    folder: Path, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ("--on", folder / "mine.yaml", "--count", "6", "--new-tokens", "5")
    (told,) = evaluate(capsys, *words, "--endpoint", served.address, "--to", tmp_path / "served")
    assert told["answered"] == 6
    there = [line["prediction"] for line in lines(tmp_path / "served/mine/predictions.jsonl")]
    asked = lines(tmp_path / "served/mine/asked.requests")
    picture, text = asked[0]["body"]["messages"][0]["content"]
    assert picture["image_url"]["max_tiles"] == 6 and text["text"].startswith("\nhow many")
    answers = [str(served.alone.chat(request["body"]["messages"], max_new_tokens=5)) for request in asked]
    assert there == answers


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--on", "mmbench_dev_eng"], "near: .*mmbench_dev_en"),
        (["--on", "chartqa"], "chartqa: its data are not below .*; put them there, or name .*--data"),
        (["--on", "{own}", "--preset", "lmms"], "preset 'lmms' is unknown; choose from official"),
        (["--on", "{own}", "--form", "official"], "--form 'official': mine has own"),
        (["--on", "{own}", "--shard", "4/3"], "--shard '4/3': write K/N"),
        (["--on", "{own}", "--count", "0"], "--count 0: give at least 1"),
        (["--on", "{own}", "--cot", "deep"], "--cot 'deep': choose one of .*preset"),
        (["--on", "{own}", "--tasks", "count"], "--tasks: drawn tasks are run without --on"),
        (["--on", "{own}", "--count", "3", "--export", "tsv"], "--export: .* leave --count out"),
        (["--on", "{own}", "--predictions", "no.tsv"], "--predictions no.tsv: no such file"),
        (["--explain", "3"], "--explain: belongs to benchmarks; name them by --on"),
        (["--compare", "one"], "--compare: 1 folders; give those of two runs"),
        (["--endpoint", "http://localhost:9"], "--endpoint: drawn tasks run a model here"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_told_in_a_line(
    words: list[str], told: str, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.format(own=folder / "mine.yaml") for word in words]
    where = ["--data", str(tmp_path), "--to", str(tmp_path / "run")] if "--on" in words else []
    assert main(["evaluate", *given, *where]) in (1, 2)
    found = capsys.readouterr().err
    assert re.search(told, found), found


def test_a_benchmark_file_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = tmp_path / "a.yaml"
    for text, told in (
        ("name: a\nkind: open\ndata: {own: {file: a.tsv}}\nscorer: {name: anlss}\n", "did you mean anls?"),
        ("name: a\nkind: opn\ndata: {own: {file: a.tsv}}\nscorer: {name: anls}\n", "kind"),
        (
            "name: a\nkind: open\ndata: {own: {file: a.tsv}}\nscorer: {name: anls, x: 1}\n",
            "'x' is no setting",
        ),
        ("name: a\nkind: open\ndata: {own: {fil: a.tsv}}\nscorer: {name: anls}\n", "fil"),
    ):
        own.write_text(text)
        assert main(["evaluate", "--on", str(own), "--to", str(tmp_path / "run")]) == 2
        assert told in capsys.readouterr().err


def test_columns_that_are_not_there_are_told_before_a_model_is_asked(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = HEAD.format(kind="open", options="", scorer="exact_match")
    own = folder / "lacking.yaml"
    rows = [row.split("\t") for row in (folder / "mine.tsv").read_text().splitlines()]
    blank = [rows[0], *([*row[:2], "", *row[3:]] for row in rows[1:])]
    (folder / "blank.tsv").write_text("\n".join(map("\t".join, blank)))
    for text, told in (
        (head + "aggregate: {name: mean, of_groups: subject}\n", "no question has a column 'subject'"),
        (head.replace("mine.tsv", "blank.tsv"), "no words in column 'question' of the first rows"),
        (head.replace("image: image", "image: image, question: text"), "no column 'text'"),
    ):
        own.write_text(text)
        assert main(["evaluate", "--on", str(own), "--to", str(tmp_path)]) == 2
        assert told in capsys.readouterr().err
    assert not list(tmp_path.glob("*/asked.*"))


def test_reasoning_has_room(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A preset's ten tokens for a word would cut every reasoned answer off."""
    own = folder / "short.yaml"
    own.write_text(HEAD.format(kind="short", options="", scorer="exact_match") + "presets: {official: {}}\n")
    for more, tokens in (((), 100), (("--cot", "en_v2"), 2048), (("--cot", "preset"), 2048)):
        to = tmp_path / str(len(more) and more[1])
        evaluate(capsys, "--on", own, "--to", to, "--count", "1", *more)
        (request,) = lines(to / "mine/asked.requests")
        assert request["body"]["max_tokens"] == tokens


def test_of_a_suite_what_is_here(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    kept = (folder / "mine.tsv").read_text().replace("\tA\tB\tC\n", "\tD\tE\tF\n", 1)
    (tmp_path / "OCRBench.tsv").write_text(kept)
    words = ["--data", str(tmp_path), "--to", str(tmp_path / "run"), "--new-tokens", "4"]
    assert main(["evaluate", "--on", "open_compass", *words, "--json"]) == 0
    found = capsys.readouterr()
    assert [each["benchmark"] for each in json.loads(found.out)] == ["ocrbench"]
    assert "12 questions; the published figure has 1000" in found.out
    assert "without data, left out: mmbench_test_en_v11" in found.err
    assert main(["evaluate", "--on", "screenspot", *words]) == 2
    assert "screenspot_mobile: its data are not below" in capsys.readouterr().err


def test_the_list(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["evaluate", "InternVL3-8B", "--list", "--data", str(tmp_path)]) == 0
    assert "mmmu_val" in capsys.readouterr().out
    assert main(["evaluate", "--list", "--on", "mmmu_val", "--data", str(tmp_path), "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert told["here"] == [] and told["published"]["arXiv:2504.10479"]["InternVL3-8B"] == 62.7


def test_shards_are_disjoint_and_whole() -> None:
    items: Any = list(range(10))
    parts = [list(Shard(number, 3).of(items)) for number in (1, 2, 3)]
    assert sorted(sum(parts, [])) == items and max(map(len, parts)) - min(map(len, parts)) == 1


def test_a_judge_decides_what_rules_leave_open(
    folder: Path, served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = HEAD.format(kind="open", options="", scorer="judged").replace("name: mine", "name: judged")
    (folder / "judged.yaml").write_text(text + "judge: mmvet\n")
    words = ("--on", folder / "judged.yaml", "--to", tmp_path, "--count", "3")
    (told,) = evaluate(capsys, *words)
    assert not told["figures"] and "only a judge can score them: --judge ADDRESS" in told["notes"][-1]
    (ruled,) = evaluate(capsys, "--on", folder / "mine.yaml", *words[2:], "--judge", "http://localhost:9")
    assert "--judge was not asked: open answers are scored by rules" in ruled["notes"]
    # An untrained model says nothing that can be read: asked three times, and told.
    assert main(["evaluate", *map(str, words), "--judge", served.address, "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    assert "judge nano: 3 of 3 answers" in told["notes"]
    result = json.loads((tmp_path / "judged/result.json").read_text())
    assert result["settings"]["judge"]["model"] == "nano" and result["settings"]["judge"]["rules"] == "mmvet"
    assert (tmp_path / "judged/judge_3.answers").is_file()
    assert all("judge nano" in line["why"] for line in lines(tmp_path / "judged/predictions.jsonl"))


def test_best_of_by_a_critic_and_a_vote(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class LongestCritic:
        def score(self, conversation: Any, responses: Sequence[str]) -> list[Judged]:
            assert conversation.messages[-1].role == "user" and len(conversation.media) == 1
            return [Judged(float(len(response))) for response in responses]

    monkeypatch.setattr(ProcessCritic, "open", lambda *_, **__: LongestCritic())
    words = ("--on", folder / "mine.yaml", "--count", "3", "--new-tokens", "8", "--temperature", "2")
    best = ("--best-of", "4", "--critic", shipped_folder())
    (told,) = evaluate(capsys, *words, *best, "--to", tmp_path / "best")
    assert told["answered"] == 3
    for line in lines(tmp_path / "best/mine/predictions.jsonl"):
        chosen = line["selection"]
        assert chosen["scores"][chosen["chosen"]] == max(chosen["scores"]) and len(chosen["scores"]) == 4
    settings = json.loads((tmp_path / "best/mine/result.json").read_text())["settings"]
    assert settings["candidates"] == 4 and settings["rule"]["method"] == "best_of"
    evaluate(capsys, *words, "--majority", "5", "--to", tmp_path / "vote")
    for line in lines(tmp_path / "vote/mine/predictions.jsonl"):
        answers = line["selection"]["answers"]
        most = max(map(answers.count, answers))
        assert answers.count(answers[line["selection"]["chosen"]]) == most
