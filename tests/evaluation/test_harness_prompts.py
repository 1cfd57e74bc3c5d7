"""What harnesses ask, written down by hand from their code: prompts with marks, tiles and new tokens."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tessera.evaluation.benchmarks.catalogue import find_benchmark
from tessera.evaluation.benchmarks.presets import resolve
from tessera.evaluation.benchmarks.prompts import write_question
from tessera.evaluation.rows.item import Item, MediaFile
from tessera.scoring.verdict import Reference

WORD = "Answer the question using a single word or phrase."
LETTER = "Answer with the option's letter from the given choices directly."
CAPTION = "Provide a one-sentence caption for the provided image."
BOXED = "Please reason step by step, and put your final answer within \\boxed{}."
TWO = {"A": "cat", "B": "dog"}
CASES: list[tuple[str, str, int, str, Mapping[str, str], dict[str, Any], str]] = [
    ("chartqa", "official", 1, "How many?", {}, {}, f"<image>\nHow many? {WORD}"),
    ("chartqa", "vlmevalkit", 1, "How many?", {}, {}, f"<image>\nHow many?\n{WORD}"),
    (
        "chartqa",
        "lmms-eval",
        1,
        "How many?",
        {},
        {},
        "<image>\nHow many?\nAnswer the question with a single word.",
    ),
    (
        "vizwiz_val",
        "official",
        1,
        "Is it?",
        {},
        {},
        f"<image>\nIs it? When the provided information is insufficient, respond with 'Unanswerable'. {WORD}",
    ),
    ("vizwiz_val", "vlmevalkit", 1, "Is it?", {}, {}, "<image>\nIs it?"),
    ("mmbench_dev_en", "official", 1, "Q", TWO, {"hint": "H"}, f"<image>\nH\nQ\nA. cat\nB. dog\n{LETTER}"),
    ("mmbench_dev_en", "vlmevalkit", 1, "Q", TWO, {"hint": None}, f"<image>\nQ\nA. cat\nB. dog\n{LETTER}"),
    (
        "mmbench_dev_en",
        "lmms-eval",
        1,
        "Q",
        TWO,
        {"hint": "H"},
        f"<image>\nH Q There are several options:\nA. cat\nB. dog\n\n{LETTER}",
    ),
    (
        "mmbench_dev_cn",
        "official",
        1,
        "问",
        TWO,
        {"hint": ""},
        "<image>\n问\nA. cat\nB. dog\n请直接回答选项字母。",
    ),
    (
        "ccbench",
        "vlmevalkit",
        1,
        "问",
        TWO,
        {},
        "<image>\n问\nA. cat\nB. dog\n请直接回答选项字母。",
    ),
    ("mmmu_val", "official", 3, " <image 1>? ", {"A": " x "}, {}, f"<image>\n<image 1>?\nA. x\n{LETTER}"),
    ("mmmu_val", "official", 1, "Why?", {}, {}, f"<image>\nWhy?\n{WORD}"),
    (
        "mmmu_val",
        "vlmevalkit",
        2,
        "See <image 1>.",
        TWO,
        {},
        f"Image-1: <image>\nImage-2: <image>\nSee <image 1>.\nA. cat\nB. dog\n{LETTER}",
    ),
    ("mmmu_val", "vlmevalkit", 1, "Why?", {}, {}, "<image>\nWhy?\nAnswer the question directly."),
    ("mme", "official", 1, "Is it?", {}, {}, f"<image>\nIs it? {WORD}"),
    ("pope", "official", 1, "Is it?", {}, {}, f"<image>\nIs it?\n{WORD}"),
    ("pope", "vlmevalkit", 1, "Is it?", {}, {}, "<image>\nIs it?"),
    ("hallusionbench", "official", 1, "Is it?", {}, {}, f"<image>\nIs it? Please answer yes or no. {WORD}"),
    (
        "refcoco_val",
        "official",
        1,
        "left man",
        {},
        {},
        "<image>\nPlease provide the bounding box coordinate of the region this sentence describes: "
        "<ref>left man</ref>",
    ),
    (
        "muirbench",
        "vlmevalkit",
        2,
        "<image> <image> Same?",
        TWO,
        {},
        f"Image-1: <image>\nImage-2: <image>\n Same?\nA. cat\nB. dog\n{LETTER}",
    ),
    (
        "muirbench",
        "vlmevalkit",
        2,
        "Is <image> like <image>?",
        TWO,
        {},
        f"Image-1: <image>\nImage-2: <image>\nIs <Image-1> like <Image-2>?\nA. cat\nB. dog\n{LETTER}",
    ),
    (
        "mantis",
        "official",
        2,
        "<image> <image> Is <image> red?",
        TWO,
        {"question_type": "multi-choice"},
        f"Image-1: <image>\nImage-2: <image>\nIs Image-1 red?\n(A) cat\n(B) dog\n{LETTER}",
    ),
    (
        "mantis",
        "official",
        1,
        "How many?",
        {},
        {"question_type": "short-answer"},
        f"<image>\nHow many?\n{WORD}",
    ),
    (
        "mmiu",
        "official",
        2,
        "Same?",
        TWO,
        {"input": {"context": "Select\nA: cat\nB: dog"}},
        f"Image-1: <image>\nImage-2: <image>\nSame?\nSelect\nA: cat\nB: dog\n{LETTER}",
    ),
    (
        "mirb",
        "official",
        2,
        "How many?",
        {},
        {"task": "3d_scene"},
        "Image-1: <image>\nImage-2: <image>\nHow many?\nThe following images are different views of the same "
        "3D scene. Answer with a single number.",
    ),
    (
        "mp_docvqa_val",
        "official",
        2,
        "Who?",
        {},
        {},
        f"Image-1: <image>\nImage-2: <image>\nWho? {WORD}",
    ),
    (
        "mme_realworld",
        "vlmevalkit",
        1,
        "Which?",
        TWO,
        {},
        "<image>\nWhich? The choices are listed below:\n(A) cat\n(B) dog\n"
        "Select the best answer to the above "
        "multiple-choice question based on the image. Respond with only the letter (A, B, C, D, or E) of the "
        "correct option. \nThe best answer is:",
    ),
    ("rsvqa_lr", "official", 1, "Rural?", {}, {}, f"<image>\nRural?\n{WORD}"),
    ("dior_rsvg", "official", 1, "the dam", {}, {}, "<image>\nDetect the dam"),
    ("coco", "official", 1, "", {}, {}, f"<image>\n{CAPTION}"),
    ("mmvet", "official", 1, "Why?", {}, {}, "<image>\nWhy? "),
    ("llava_bench", "official", 1, "Why?", {}, {}, "<image>\nWhy? Please give a detailed answer."),
    ("llava_bench", "vlmevalkit", 1, "Why?", {}, {}, "<image>\nWhy?\nAnswer this question in detail."),
    ("ai2d", "official", 1, "Q\nA. x\n" + LETTER, {}, {}, f"<image>\nQ\nA. x\n{LETTER}"),
    ("scienceqa", "official", 1, "Q", TWO, {"hint": "H"}, f"<image>\nH\nQ\nA. cat\nB. dog\n{LETTER}"),
    ("gsm8k", "official", 0, "2?", {}, {}, "2?\n" + BOXED),
]


@pytest.mark.parametrize(("name", "preset", "pictures", "question", "options", "fields", "asked"), CASES)
def test_what_is_asked(
    name: str,
    preset: str,
    pictures: int,
    question: str,
    options: Mapping[str, str],
    fields: dict[str, Any],
    asked: str,
) -> None:
    media = tuple(MediaFile(Path(f"{number}.jpg")) for number in range(pictures))
    item = Item("1", Reference((), options, question, fields), media)
    assert write_question(item, resolve(find_benchmark(name), preset)) == asked


CLIP = Item("1", Reference((), TWO, "What?", {}), (MediaFile(Path("a.mp4"), "video"),))
WATCH = (
    "Carefully watch the video and pay attention to the cause and sequence of events, the detail and "
    "movement of objects, and the action and pose of persons. Based on your observations, select the best "
    "option that accurately addresses the question.\n"
)


def test_what_is_asked_of_clips() -> None:
    asked = write_question(CLIP, resolve(find_benchmark("mvbench"), "official"))
    options = "Question: What?\nOptions:\n(A) cat\n(B) dog\nOnly give the best option."
    assert asked.removeprefix("<video>\n") == f"{WATCH}\n{options}"
    kit = write_question(CLIP, resolve(find_benchmark("mvbench"), "vlmevalkit"))
    assert kit.removeprefix("<video>\n") == WATCH + options
    long = write_question(CLIP, resolve(find_benchmark("longvideobench"), "vlmevalkit"))
    assert long.removeprefix("<video>\n") == f"What?\nA. cat\nB. dog\n{LETTER}"


LIMITS = [
    ("docvqa_val", "official", (18, None, 100)),
    ("docvqa_val", "vlmevalkit", (18, 64, 4096)),
    ("docvqa_val", "lmms-eval", (12, 64, 32)),
    ("infovqa_val", "official", (24, None, 100)),
    ("chartqa", "official", (12, None, 100)),
    ("textvqa_val", "official", (6, None, 10)),
    ("ai2d", "official", (6, None, 10)),
    ("ocrbench", "official", (24, 64, 4096)),
    ("mmmu_val", "official", (6, None, 10)),
    ("mmmu_val", "vlmevalkit", (12, 64, 4096)),
    ("mmmu_pro_standard", "official", (12, None, 4096)),
    ("ocrvqa_test", "vlmevalkit", (12, 64, 4096)),
    ("mme", "official", (6, None, 20)),
    ("mathvista", "official", (6, None, 4096)),
    ("mantis", "official", (6, 6, 50)),
    ("mmiu", "official", (12, 12, 100)),
    ("mp_docvqa_val", "official", (18, 64, 100)),
    ("mvbench", "official", (1, None, 1000)),
    ("vcr_en_easy", "vlmevalkit", (12, 64, 4096)),
    ("mme_realworld", "vlmevalkit", (12, 64, 4096)),
    ("screenspot_web", "vlmevalkit", (12, 64, 4096)),
    ("rsvqa_hr_test1", "official", (6, None, 50)),
]


@pytest.mark.parametrize(("name", "preset", "limits"), LIMITS)
def test_tiles_and_new_tokens(name: str, preset: str, limits: tuple[int, int | None, int]) -> None:
    rules = resolve(find_benchmark(name), preset)
    assert (rules.tiles, rules.total_tiles, rules.new_tokens) == limits
