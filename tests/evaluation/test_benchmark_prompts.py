"""What a benchmark's question becomes: presets, prompts, requests, and what they are refused for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tessera.chat.cards import from_card_call
from tessera.chat.message import Image, Text, Video
from tessera.chat.openai import read_messages
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.benchmarks.benchmark import Benchmark
from tessera.evaluation.benchmarks.presets import PRESETS, load_preset, resolve
from tessera.evaluation.benchmarks.prompts import write_question
from tessera.evaluation.rows.item import Item, MediaFile
from tessera.evaluation.running.asking import BenchmarkAsking
from tessera.scoring.verdict import Reference
from tests.engine import tiny

DIRECT = "Answer with the option's letter from the given choices directly."
REGION = (
    "<image>\nPlease provide the bounding box coordinate of the region this sentence describes: "
    "<ref>the cat</ref>"
)
SHORT = "Answer the question using a single word or phrase."


def benchmark(kind: str, **more: Any) -> Benchmark:
    data = {"own": {"file": "a.tsv", "image": "image"}}
    return Benchmark.model_validate(
        {"name": "x", "title": "X", "kind": kind, "data": data, "scorer": {"name": "exact"}} | more
    )


def item(question: str, pictures: int = 1, options: tuple[str, ...] = (), **fields: Any) -> Item:
    media = tuple(MediaFile(Path(f"/p/{n}.png")) for n in range(pictures))
    return Item("7", Reference((), dict(zip("ABCDEF", options, strict=False)), question, fields), media)


@pytest.mark.parametrize(
    ("preset", "kind", "asked", "told"),
    [
        ("official", "short", item("Q?"), f"<image>\nQ? {SHORT}"),
        ("vlmevalkit", "short", item("Q?"), f"<image>\nQ?\n{SHORT}"),
        ("official", "choice", item("Q?", 1, ("x", "y")), f"<image>\nQ?\nA. x\nB. y\n{DIRECT}"),
        ("official", "choice", item("Q?", 1, ("x",), hint="H"), f"<image>\nH\nQ?\nA. x\n{DIRECT}"),
        ("vlmevalkit", "choice", item("Q?", 1, ("x", "y"), hint=None), f"<image>\nQ?\nA. x\nB. y\n{DIRECT}"),
        ("vlmevalkit", "choice", item("问？", 1, ("x",)), "<image>\n问？\nA. x\n请直接回答选项字母。"),
        ("vlmevalkit", "choice", item("Q?", 1, ("是",)), "<image>\nQ?\nA. 是\n请直接回答选项字母。"),
        ("vlmevalkit", "choice", item("Q?"), "<image>\nQ?\nAnswer the question directly."),
        ("vlmevalkit", "choice", item("问？"), "<image>\n问？\n请直接回答问题。"),
        ("vlmevalkit", "open", item("Q?", 2), "Image-1: <image>\nImage-2: <image>\nQ?"),
        ("lmms-eval", "open", item("Q?", 2), "<image> <image>\nQ?"),
        ("official", "box", item("the cat"), REGION),
        ("official", "caption", item(""), "<image>\nProvide a one-sentence caption for the provided image."),
        ("vlmevalkit", "open", item("see <image> here"), "see <image> here"),
        ("official", "open", item("{{ 7*7 }}", 0), "{{ 7*7 }}"),
    ],
)  # fmt: skip
def test_prompts_of_the_harnesses(preset: str, kind: str, asked: Item, told: str) -> None:
    rules = resolve(benchmark(kind, presets={preset: {}}), preset)
    assert write_question(asked, rules) == told


def test_official_rules_hold_where_its_scripts_have_the_benchmark() -> None:
    assert resolve(benchmark("short"), "official").preset.startswith("vlmevalkit@")
    assert resolve(benchmark("short", presets={"official": {}}), "official").preset.startswith("official@")
    own = benchmark(
        "short", presets={"official": {"prompt": "{{ question }}!", "tiles": 12, "new_tokens": 9}}
    )
    rules = resolve(own, "official")
    assert (rules.prompt, rules.tiles, rules.new_tokens) == ("{{ question }}!", 12, 9)
    scored = benchmark("short", presets={"vlmevalkit": {"scorer": {"name": "vqa", "rules": "vlmevalkit"}}})
    assert resolve(scored, "vlmevalkit").scorer == {"name": "vqa", "rules": "vlmevalkit"}
    assert resolve(scored, "lmms-eval").scorer == {"name": "exact"}


def test_reasoning_replaces_the_request_for_a_letter() -> None:
    rules = resolve(benchmark("choice"), "vlmevalkit")
    asked = write_question(item("Q?", 0, ("x", "y")), rules, reasoning=True)
    assert asked.startswith("Q?\nA. x\nB. y\nAnswer the preceding multiple choice question.")
    assert DIRECT not in asked and r"'Answer: \boxed{$LETTER}'" in asked
    own = resolve(benchmark("short", presets={"official": {}}), "official")
    asked = write_question(item("Q?", 0), own, reasoning=True)
    assert asked.endswith('please use the format "Final answer: .."\n\nQuestion:\n\nQ?')
    with pytest.raises(ValueError, match="preset lmms-eval@.* has no prompt that asks for reasoning"):
        write_question(item("Q?"), resolve(benchmark("choice"), "lmms-eval"), reasoning=True)


@pytest.mark.parametrize(
    ("preset", "told"),
    [
        ("offical", "preset 'offical' is unknown; choose from official, vlmevalkit, lmms-eval"),
        ("vlmevalkit@2020", "this Tessera has the rules of vlmevalkit@e8e78f05"),
    ],
)
def test_unknown_presets(preset: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        load_preset(preset)
    assert all(load_preset(load_preset(name).label).name == name for name in PRESETS)


@pytest.mark.parametrize(
    ("prompt", "told"),
    [
        ("{{ missing }}", "question 7: prompt: 'missing' is undefined"),
        ("{{ question", "prompt .*; correct it"),
        ("<image> and <image>", "2 <image> in .* for 1 files; mark each of them, or none"),
        ("{{ question.__class__.__mro__ }}", "prompt: .*unsafe"),
    ],
)
def test_prompts_that_cannot_be(prompt: str, told: str) -> None:
    rules = resolve(benchmark("open", presets={"vlmevalkit": {"prompt": prompt}}), "vlmevalkit")
    with pytest.raises(ValueError, match=told):
        write_question(item("Q?"), rules)


def messages(asking: BenchmarkAsking, asked: Item) -> Any:
    return read_messages(asking.messages(asked)).messages[-1].parts


@pytest.mark.parametrize(
    ("pictures", "limits"), [(1, (24,)), (2, (24, 24)), (3, (21, 21, 21)), (65, (1,) * 65)]
)
def test_tiles_are_shared(pictures: int, limits: tuple[int, ...], tmp_path: Path) -> None:
    rules = resolve(benchmark("open", presets={"vlmevalkit": {"tiles": 24}}), "vlmevalkit")
    parts = messages(BenchmarkAsking(rules, tmp_path), item("Q?", pictures))
    assert tuple(part.max_tiles for part in parts if isinstance(part, Image)) == limits


def test_pictures_in_one_line_stay_in_one_line(tmp_path: Path) -> None:
    rules = resolve(benchmark("open"), "lmms-eval")
    parts = messages(BenchmarkAsking(rules, tmp_path), item("Q?", 2))
    assert [part.text for part in parts if isinstance(part, Text)] == [" ", "\nQ?"]


def test_mmmu_joins_its_pictures(tmp_path: Path) -> None:
    for number in range(3):
        PIL.Image.new("RGB", (30, 20), (number * 40, 0, 0)).save(tmp_path / f"{number}.png")
    media = tuple(MediaFile(tmp_path / f"{number}.png") for number in range(3))
    own = benchmark("choice", presets={"official": {"joined": True, "first_enlarged": True, "tiles": 12}})
    asking = BenchmarkAsking(resolve(own, "official"), tmp_path / "store")
    picture, *text = messages(asking, Item("1", Reference((), {}, "see <image 1> and <image 2>"), media))
    assert isinstance(picture, Image) and len(picture.joined) == 2
    assert (picture.max_tiles, picture.joined_tiles) == (12, 1)
    with PIL.Image.open(str(picture.source)) as enlarged:
        assert enlarged.size == (60, 40)
    assert "".join(part.text for part in text).startswith("\nsee <image 1> and <image 2>")


def test_blind_questions_and_clips(tmp_path: Path) -> None:
    rules = resolve(benchmark("open", presets={"vlmevalkit": {"frames": 16}}), "vlmevalkit")
    clip = Item("1", Reference((), {}, "Q?"), (MediaFile(Path("/c.mp4"), "video", 1.0, 4.5),))
    video, text = messages(BenchmarkAsking(rules, tmp_path), clip)
    assert isinstance(video, Video) and (video.start, video.end, video.frames) == (1.0, 4.5, 16)
    assert text.text == "\nQ?"
    (alone,) = messages(BenchmarkAsking(rules, tmp_path, blind=True), clip)
    assert alone.text == "Q?"
    (alone,) = messages(BenchmarkAsking(rules, tmp_path, blind=True), item("Q?", 3))
    assert alone.text == "Q?"


def test_a_wording_stands_behind_the_marks(tmp_path: Path) -> None:
    rules = resolve(benchmark("open"), "vlmevalkit")
    asking = BenchmarkAsking(rules, tmp_path, wording=lambda text: f"[{text}]")
    assert asking.prompt(item("Q?", 2)) == "Image-1: <image>\nImage-2: <image>\n[Q?]"


def test_candidates_draw_with_seeds_of_their_own(tmp_path: Path) -> None:
    rules = resolve(benchmark("open"), "vlmevalkit")
    asking = BenchmarkAsking(rules, tmp_path, candidates=3, sampling=Sampling(temperature=0.7, top_p=0.95))
    first, *others = (request["body"] for request in asking.requests(item("Q?")))
    assert first["temperature"] == 0.0 and "seed" not in first and first["max_tokens"] == 4096
    assert len({body["seed"] for body in others}) == 2 and {body["temperature"] for body in others} == {0.7}


@pytest.mark.parametrize("preset", ["official", "vlmevalkit", "lmms-eval"])
@pytest.mark.parametrize("pictures", [0, 1, 2, 3])
def test_tokens_are_those_of_the_cards_call(preset: str, pictures: int, tmp_path: Path) -> None:
    """What harnesses hand to `model.chat` as one text, with a limit of tiles for every picture."""
    files = [tmp_path / f"{number}.png" for number in range(pictures)]
    for number, file in enumerate(files):
        tiny.picture(number, 90 + 40 * number, 60).save(file)
    rules = resolve(benchmark("choice", presets={preset: {"tiles": 4}}), preset)
    media = tuple(map(MediaFile, files))
    asked = Item("1", Reference((), {"A": "x", "B": "y"}, "What?"), media)
    asking = BenchmarkAsking(rules, tmp_path)
    told = read_messages(asking.messages(asked))
    card = from_card_call(write_question(asked, rules), files, max_tiles=4)
    ours, theirs = (tiny.encoder().encode(talk, generate=True) for talk in (told, card))
    assert ours.ids.tolist() == theirs.ids.tolist()
    assert len(ours.tiles) == len(theirs.tiles) and all(
        (one == two).all() for one, two in zip(ours.tiles, theirs.tiles, strict=True)
    )
