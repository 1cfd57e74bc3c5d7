"""Each drawn benchmark's files, and the declaration with which they are evaluated."""

from collections.abc import Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any

import PIL.Image

from tessera.evaluation.drawn.asked import (
    YesNoPair,
    choices,
    frames_of,
    is_yes,
    pairs,
    picture_of,
    questions,
)
from tessera.evaluation.drawn.forms import (
    FRAME_RATE,
    in_base64,
    save_clip,
    save_frames,
    save_picture,
    write_array,
    write_kit_rows,
    write_lines,
    write_parquet,
)
from tessera.playground.parts import UnitBox

Row = dict[str, Any]
Frames = tuple[PIL.Image.Image, ...]
ROTATION = 1_000_000
"""What the index of a rotation grows by (MMBench)."""
CHARTS = {
    "human": ("highest", "lowest", "nth_bar", "bar_color", "which_higher"),
    "augmented": ("value", "bars"),
}
WORDS = ("word", "number", "first_letter", "last_letter", "letters", "digits", "first_digit", "last_digit")
CLAIMS = {"random": "is_higher", "popular": "is_higher", "adversarial": "has_letter"}
PAIRS = {"OCR": "letters", "existence": "digits", "position": "bars", "numerical_calculation": "bars"}
CLIPS = {
    "moving_direction": ("direction",),
    "action_sequence": ("first_color", "last_color"),
    "moving_attribute": ("moving_color", "moving_shape"),
}


def write_benchmarks(folder: Path, count: int) -> list[Path]:
    """About so many questions of each drawn benchmark below `folder`; the declarations come back.

    Equal counts give equal files. ValueError for a count below 1. The shard of parquet needs pyarrow and is
    left out without it.
    """
    if count < 1:
        raise ValueError(f"benchmarks: {count} questions of each; give at least 1")
    declared = files("tessera") / "assets" / "playground" / "benchmarks"
    found = []
    for name, write in WRITERS.items():
        (folder / name).mkdir(parents=True, exist_ok=True)
        write(folder / name, count)
        found.append(folder / f"{name}.yaml")
        found[-1].write_bytes((declared / f"{name}.yaml").read_bytes())
    return found


def _charts(folder: Path, count: int) -> None:
    """ChartQA: JSON lines of both halves, a table, and a shard."""
    table: list[Row] = []
    shard: list[Row] = []
    for half, kinds in CHARTS.items():
        lines: list[Row] = []
        for item in questions(f"chartqa {half}", "chart", kinds, -(-count // 2)):
            name = save_picture(picture_of(item.scene), folder, f"png/{half}_{len(lines)}.png")
            asked = {"question": item.question.text, "answer": item.question.final}
            lines.append({"image": name, **asked, "question_id": len(lines)})
            held = {"index": len(table), "image": in_base64(picture_of(item.scene))}
            table.append({**held, **asked, "split": f"test_{half}"})
            shard.append({"type": f"{half}_test", **asked, "image": picture_of(item.scene)})
        write_lines(folder / f"test_{half}.jsonl", lines)
    write_kit_rows(folder / "ChartQA_TEST.tsv", table)
    try:
        write_parquet(folder / "data" / "test-00000-of-00001.parquet", shard)
    except ValueError:  # without pyarrow
        return


def _documents(folder: Path, count: int) -> None:
    """DocVQA: JSON lines and a table; answers are lists."""
    lines: list[Row] = []
    table: list[Row] = []
    for number, item in enumerate(questions("docvqa", "text", WORDS, count)):
        name = save_picture(picture_of(item.scene), folder, f"documents/{number}.png")
        answers = [item.question.final]
        asked = {"question": item.question.text, "answer": answers}
        lines.append({"image": name, **asked, "question_id": number})
        held = {"index": number, "image": in_base64(picture_of(item.scene))}
        table.append({**held, "question": item.question.text, "answer": str(answers)})
    write_lines(folder / "val.jsonl", lines)
    write_kit_rows(folder / "DocVQA_VAL.tsv", table)


def _choices(folder: Path, count: int) -> None:
    """MMBench: rotations follow the first rows, and name the first one's picture by its index."""
    kinds = ("color", "shape", "size")  # the official matcher takes one sign, such as a count, for a letter
    turns: list[list[Row]] = []
    for number, row in enumerate(choices("mmbench", "shapes", kinds, count)):
        question = row.item.question
        for turn, (options, letter) in enumerate(row.rotated()):
            texts = dict.fromkeys("ABCD", "") | options
            told = {"category": question.kind, "l2-category": question.task, "split": "dev", "hint": ""}
            image = in_base64(picture_of(row.item.scene)) if turn == 0 else number
            one = {"index": number + turn * ROTATION, "image": image, "question": question.text}
            turns += [[] for _ in range(turn + 1 - len(turns))]
            turns[turn].append({**one, **texts, "answer": letter, **told})
    write_kit_rows(folder / "MMBench_DEV_EN.tsv", [row for rows in turns for row in rows])


def _boxes(folder: Path, count: int) -> None:
    """RefCOCO: boxes in pixels."""
    lines = []
    for number, item in enumerate(questions("refcoco", "text chart", ("box",), count)):
        picture, question = picture_of(item.scene), item.question
        name = save_picture(picture, folder, f"train2014/{number}.png")
        box = question.box or (0.0, 0.0, 1.0, 1.0)
        told = {"bbox": _pixels(box, picture.size), "height": picture.height, "width": picture.width}
        phrase = question.answer.removeprefix("<ref>").partition("</ref>")[0]
        lines.append({"image": name, "sent": phrase, **told, "question_id": number})
    write_lines(folder / "refcoco_val.jsonl", lines)


def _pixels(box: UnitBox, size: tuple[int, int]) -> list[float]:
    """A box of shares in pixels."""
    return [share * size[place % 2] for place, share in enumerate(box)]


def _claims(folder: Path, count: int) -> None:
    """POPE: a file of lines for each part."""
    for part, kind in CLAIMS.items():
        suite = "chart" if kind == "is_higher" else "text"
        lines = []
        for number, item in enumerate(questions(f"pope {part}", suite, (kind,), -(-count // 3)), 1):
            name = save_picture(picture_of(item.scene), folder / "val2014", f"{part}_{number}.png")
            told = {"text": item.question.text, "label": "yes" if is_yes(item) else "no"}
            lines.append({"question_id": number, "image": name, **told})
        write_lines(folder / f"coco_pope_{part}.json", lines)


def _readings(folder: Path, count: int) -> None:
    """OCRBench: answers are lists, rows have a category."""
    names = {"word": "Regular Text Recognition", "number": "Digit String Recognition"}
    rows = []
    for number, item in enumerate(questions("ocrbench", "text", WORDS, count)):
        held = {"index": number, "image": in_base64(picture_of(item.scene))}
        category = names.get(item.question.kind, "Scene Text-centric VQA")
        told = {"answer": str([item.question.final]), "category": category}
        rows.append({**held, "question": item.question.text, **told})
    write_kit_rows(folder / "OCRBench.tsv", rows)


def _pairs(folder: Path, count: int) -> None:
    """MME: a table, and a file a task without a header; both questions of a picture follow each other."""
    table: list[Row] = []
    for task, about in PAIRS.items():
        lines = []
        for number, pair in enumerate(pairs(f"mme {task}", about, -(-count // (2 * len(PAIRS)))), 1):
            save_picture(pair.picture, folder / "images" / task, f"{number}.png")
            for question, answer in _both(pair):
                lines.append(f"{number}.png\t{question}\t{answer}\n")
                held = {"index": len(table), "image": in_base64(pair.picture)}
                told = {"image_path": f"{task}/{number}.png", "category": task}
                table.append({**held, "question": question, "answer": answer, **told})
        (folder / "Your_Results").mkdir(exist_ok=True)
        (folder / "Your_Results" / f"{task}.txt").write_text("".join(lines), encoding="utf-8")
    write_kit_rows(folder / "MME.tsv", table)


def _both(pair: YesNoPair) -> Iterator[tuple[str, str]]:
    yield pair.yes, "Yes"
    yield pair.no, "No"


def _clips(folder: Path, count: int) -> None:
    """MVBench: an array a task; clips, parts of longer clips, and folders of frames."""
    for task, kinds in CLIPS.items():
        rows: list[Row] = []
        asked = choices(task, "clip", kinds, -(-count // len(CLIPS)))
        for number, row in enumerate(asked):
            before = frames_of(asked[number - 1].item.scene)
            told = _saved(folder / "video", task, number, frames_of(row.item.scene), before)
            options = {"candidates": list(row.options.values()), "answer": row.item.question.final}
            rows.append({**told, "question": row.item.question.text, **options})
        write_array(folder / "json" / f"{task}.json", rows)


def _saved(folder: Path, task: str, number: int, frames: Frames, before: Frames) -> Row:
    """The columns that name a clip, which is written; bounds where another clip stands before it."""
    if task == "moving_attribute":
        save_frames(frames, folder / "frames" / str(number))
        return {"video": str(number)}
    if task == "moving_direction":
        save_clip(frames, folder / "clips" / f"{number}.mp4")
        return {"video": f"{number}.mp4"}
    save_clip((*before, *frames), folder / "longer_clips" / f"{number}.mp4")
    first, last = len(before), len(before) + len(frames) - 1
    return {"video": f"{number}.mp4", "start": first / FRAME_RATE, "end": last / FRAME_RATE}


WRITERS: Mapping[str, Callable[[Path, int], None]] = {
    "chartqa": _charts,
    "docvqa": _documents,
    "mmbench": _choices,
    "refcoco": _boxes,
    "pope": _claims,
    "ocrbench": _readings,
    "mvbench": _clips,
    "mme": _pairs,
}
