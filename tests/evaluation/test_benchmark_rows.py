"""Questions from TSV and JSON lines: cells as pandas reads them, pictures by value, by name and shared."""

import base64
import csv
import io
import json
import multiprocessing
import tempfile
import zlib
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.evaluation.benchmarks.benchmark import Benchmark, DataForm
from tessera.evaluation.rows.item import MediaFile
from tessera.evaluation.rows.open import Items, open_items
from tessera.evaluation.rows.table import TableRows
from tessera.imaging.frames import frame_indices


def picture(color: str = "red", kind: str = "PNG", mode: str = "RGB", side: int = 24) -> bytes:
    out = io.BytesIO()
    PIL.Image.new(mode, (side, side), color).save(out, format=kind)
    return out.getvalue()


def in_text(data: bytes) -> str:
    return base64.b64encode(data).decode()


def table(folder: Path, header: list[str], *rows: list[Any], name: str = "rows.tsv") -> Path:
    with (folder / name).open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream, delimiter="\t", lineterminator="\n").writerows([header, *rows])
    return folder / name


def lines(folder: Path, *rows: Any, name: str = "rows.jsonl") -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def opened(folder: Path, **form: Any) -> Items:
    return open_items(DataForm(**{"file": "rows.tsv", **form}), folder, folder / "store")


RED, BLUE = picture("red"), picture("blue")
MMBENCH: dict[str, Any] = {"index": "index", "image": "image", "options": ["A", "B", "C", "D"]}

CELLS = st.sampled_from("ab\"'\t,\n\r 1中\u2028\x85\0")

# What pandas 3.1.1 makes of a column with these cells.
COLUMNS: list[tuple[list[str], list[Any]]] = [
    (["1", "2"], [1, 2]),
    (["1", ""], [1.0, None]),
    (["1", "2.5"], [1.0, 2.5]),
    (["007", "8"], [7, 8]),
    (["+5", " 6 "], [5, 6]),
    (["1_0", "2"], ["1_0", "2"]),
    (["True", "False"], [True, False]),
    (["TRUE", ""], [True, None]),
    (["true", "1"], ["true", "1"]),
    (["True ", "False"], ["True ", "False"]),
    (["18446744073709551615", "1"], [18446744073709551615, 1]),
    (["-1", "18446744073709551615"], ["-1", "18446744073709551615"]),
    (["9223372036854775807", ""], [9.223372036854775807e18, None]),
    (["1e5", "2"], [100000.0, 2.0]),
    (["1e", "2"], ["1e", "2"]),
    (["1.", ".5"], [1.0, 0.5]),
    ([".", "1"], [".", "1"]),
    (["inf", "1"], [float("inf"), 1.0]),
    (["Infinity", "-INF"], [float("inf"), float("-inf")]),
    (["NAN", "1"], ["NAN", "1"]),
    (["nan", "1"], [None, 1.0]),
    (["None", "a"], [None, "a"]),
    (["NA", "N/A"], [None, None]),
    (["NA ", "1"], ["NA ", "1"]),
    (["1,000", "2"], ["1,000", "2"]),
    (["0x10", "1"], ["0x10", "1"]),
    (["１", "2"], ["１", "2"]),
    (["1E400", "2"], [float("inf"), 2.0]),
    (["--1", "2"], ["--1", "2"]),
    (["9" * 500, "2"], ["9" * 500, "2"]),
]

# Texts of tables, and what pandas reads.
TABLES: list[tuple[str, list[list[Any]]]] = [
    ('a\tb\n"x\ny"\t"q""r"\n', [["x\ny", 'q"r']]),
    ('a\tb\nx"y\tz"\n', [['x"y', 'z"']]),
    ('a\tb\n"x"y\tz\n', [["xy", "z"]]),
    ("a\tb\nx\n", [["x", None]]),
    ("a\tb\r\nx\ty\r\n", [["x", "y"]]),
    ("a\tb\rx\ty\r", [["x", "y"]]),
    ("\ufeffa\tb\nx\ty", [["x", "y"]]),
    ("a\tb\n\n  \nx\ty\n\n", [["x", "y"]]),
    ("a\tb\n\t\nx\ty\n", [[None, None], ["x", "y"]]),
    ('a\n""\nx\n', [[None], ["x"]]),
    ("a\tb\n", []),
]


@pytest.mark.parametrize(("cells", "values"), COLUMNS, ids=lambda v: ascii(v)[:30])
def test_columns_become_what_pandas_makes_of_them(
    tmp_path: Path, cells: list[str], values: list[Any]
) -> None:
    found = TableRows(table(tmp_path, ["i", "x"], *([n, cell] for n, cell in enumerate(cells))), pandas=True)
    got = [found.record(k)["x"] for k in range(len(found))]
    assert [(type(v), v) for v in got] == [(type(v), v) for v in values]


@pytest.mark.parametrize(("text", "rows"), TABLES, ids=lambda v: ascii(v)[:30])
def test_quotes_blank_lines_and_line_ends(tmp_path: Path, text: str, rows: list[list[Any]]) -> None:
    (tmp_path / "rows.tsv").write_bytes(text.encode())
    found = TableRows(tmp_path / "rows.tsv", pandas=True)
    assert [list(found.record(k).values()) for k in range(len(found))] == rows
    # In any order: a row is found by its offset, not by those before it.
    assert [list(found.record(k).values()) for k in reversed(range(len(found)))] == rows[::-1]


@settings(max_examples=40)
@given(
    st.lists(st.lists(st.text(CELLS, max_size=6), min_size=2, max_size=2), max_size=6), st.sampled_from("\t,")
)
def test_what_is_written_is_read(rows: list[list[str]], sign: str) -> None:
    """Whatever cells hold: quotes, tabs, line breaks; an empty one is missing."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / ("rows.tsv" if sign == "\t" else "rows.csv")
        with file.open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream, delimiter=sign, quoting=csv.QUOTE_ALL).writerows([["a", "b"], *rows])
        found = TableRows(file, pandas=False)
        assert [list(found.record(k).values()) for k in range(len(found))] == [
            [cell or None for cell in row] for row in rows
        ]


def test_own_rules_keep_every_cell(tmp_path: Path) -> None:
    table(tmp_path, ["id", "question", "answer"], ["007", "NA?", "None"], ["8", "1.10", ""])
    items = opened(tmp_path, index="id", rules="own")
    assert [item.index for item in items] == ["007", "8"]
    assert [item.reference.answers for item in items] == [("None",), ()]
    assert items.notes == []


def test_what_the_kits_rules_change_is_told(tmp_path: Path) -> None:
    table(tmp_path, ["id", "question", "answer"], ["007", "a", "None"], ["8", "b", "x"])
    items = opened(tmp_path, index="id")
    assert [item.index for item in items] == ["7", "8"]
    assert items[0].reference.answers == ()
    assert items.notes == [
        "rows.tsv: read as missing, as pandas does: answer (1 cells, 'None')",
        "rows.tsv: read as numbers, as pandas does: id (1 cells, '007' as 7)",
    ]


def test_a_table_of_choices(tmp_path: Path) -> None:
    header = ["index", "image", "question", "hint", "A", "B", "C", "D", "answer", "category"]
    rows = [
        [3, in_text(RED), "Which?", "", "red", "", "1", "2", "A", "color"],
        [1000003, "3", "Which?", "look", "1", "red", "2", "", "B", "color"],
        [4, "", "No picture?", "", "a", "b", "c", "", "C", "color"],
        [5, in_text(BLUE), "Which?", "", "x", "y", "z", "4", "D", "color"],
    ]
    table(tmp_path, header, *rows)
    items = opened(tmp_path, **MMBENCH)
    numbers = "rows.tsv: read as numbers, as pandas does: D (2 cells, '2' as 2.0)"
    assert len(items) == 3
    assert items.notes == ["1 row without a picture left out, as that kit does", numbers]
    first, second, third = items
    assert [item.index for item in items] == ["3", "1000003", "5"]
    # A column of whole numbers with gaps is one of real numbers, as in that kit's prompts.
    assert first.reference.options == {"A": "red", "C": "1", "D": "2.0"}
    assert first.reference.fields["hint"] is None
    assert first.reference.fields["image"] == second.reference.fields["image"] == first.media[0].path.name
    assert first.media == second.media != third.media
    assert first.media[0].path.read_bytes() == RED and third.media[0].path.read_bytes() == BLUE
    assert items[-1] == third and items[1:] == [second, third]
    assert sum(1 for file in (tmp_path / "store").rglob("*") if file.is_file()) == 2


def test_pictures_are_written_when_they_are_read(tmp_path: Path) -> None:
    table(tmp_path, ["index", "image", "question"], [1, in_text(RED), "?"], [2, in_text(BLUE), "?"])
    items = opened(tmp_path, index="index", image="image")
    assert len(items) == 2 and not (tmp_path / "store").exists()
    again = list(items)
    assert list(items) == again == list(opened(tmp_path, index="index", image="image"))


def test_a_short_declaration_of_ones_own(tmp_path: Path) -> None:
    """Five lines: cells stay as they stand, and a column `index` names the rows."""
    rows = [
        ["007", in_text(RED), "?", "None", "1", "A"],
        ["8", "007", "?", "x", "2", "B"],
        ["9", "", "?", "x", "y", "A"],
    ]
    table(tmp_path, ["index", "image", "question", "A", "B", "answer"], *rows)
    told = {"name": "own", "kind": "choice", "data": "rows.tsv", "scorer": "choice"}
    (form,) = Benchmark.model_validate(told).data.values()
    items = open_items(form, tmp_path, tmp_path / "store")
    assert [item.index for item in items] == ["007", "8", "9"] and items.notes == []
    assert items[0].reference.options == {"A": "None", "B": "1"}
    assert items[0].media == items[1].media != items[2].media == ()


@pytest.mark.parametrize("write", [str, json.dumps])
def test_several_pictures_in_a_cell(tmp_path: Path, write: Any) -> None:
    cell = write([in_text(RED), in_text(BLUE)])
    table(tmp_path, ["index", "image", "question"], [0, cell, "?"], [1, "0", "?"])
    first, second = opened(tmp_path, index="index", image="image")
    assert [media.path.read_bytes() for media in first.media] == [RED, BLUE]
    assert second.media == first.media


def test_several_large_pictures_in_a_cell(tmp_path: Path) -> None:
    """Some megabytes of base64 in one list: no parser sees them."""
    large = [picture(color, side=900, kind="BMP") for color in ("red", "blue")]
    table(tmp_path, ["index", "image", "question"], [0, str([in_text(data) for data in large]), "?"])
    (item,) = opened(tmp_path, index="index", image="image")
    assert [media.path.read_bytes() for media in item.media] == large


def keep_pictures(folder: Path) -> None:
    """What a process does that shares a store."""
    for _ in opened(folder, index="index", image="image"):
        pass


def test_processes_share_a_store(tmp_path: Path) -> None:
    rows = [[n, in_text(picture(side=8 + n % 5)), "?"] for n in range(60)]
    table(tmp_path, ["index", "image", "question"], *rows)
    spawn = multiprocessing.get_context("spawn")
    others = [spawn.Process(target=keep_pictures, args=(tmp_path,)) for _ in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert [other.exitcode for other in others] == [0, 0]
    kept = [file for file in (tmp_path / "store").rglob("*") if file.is_file()]
    assert len(kept) == 5 and all(PIL.Image.open(file).size[0] in range(8, 13) for file in kept)


def test_a_jpg_name_is_a_second_encoding(tmp_path: Path) -> None:
    """The kit decodes and saves under `image_path`: the model then sees the JPEG of a JPEG."""
    noisy = PIL.Image.effect_noise((32, 32), 90).convert("RGB")
    out = io.BytesIO()
    noisy.save(out, format="PNG")
    rows = [[0, in_text(out.getvalue()), "a.jpg", "?"], [1, in_text(out.getvalue()), "b.png", "?"]]
    table(tmp_path, ["index", "image", "image_path", "question"], *rows)
    again = io.BytesIO()
    noisy.save(again, format="JPEG")
    form = {"index": "index", "image": "image"}
    lossy, whole = (item.media[0].path.read_bytes() for item in opened(tmp_path, **form))
    assert lossy == again.getvalue() and whole == out.getvalue()
    plain = [item.media[0].path.read_bytes() for item in opened(tmp_path, **form, rules="own")]
    assert plain == [out.getvalue()] * 2


def test_a_table_that_the_kit_wrote_anew_names_its_pictures(tmp_path: Path) -> None:
    (tmp_path / "images" / "Big").mkdir(parents=True)
    (tmp_path / "images" / "Big" / "0.jpg").write_bytes(picture(kind="JPEG"))
    table(tmp_path, ["index", "question", "image_path"], [0, "?", "0.jpg"], name="Big_local.tsv")
    (item,) = opened(tmp_path, file="Big.tsv", media="images/Big", index="index", image="image")
    assert item.media == (MediaFile(tmp_path / "images" / "Big" / "0.jpg"),)


def test_lines_with_named_pictures(tmp_path: Path) -> None:
    (tmp_path / "pics").mkdir()
    (tmp_path / "pics" / "1.png").write_bytes(RED)
    (tmp_path / "pics" / "2.png").write_bytes(BLUE)
    boxed = {"image": "1.png", "sent": "left one", "bbox": [1.5, 2, 3, 4], "question_id": 7}
    many = {"image": ["1.png", "2.png"], "sent": "both", "bbox": [0, 0, 1, 1], "question_id": 8}
    lines(tmp_path, boxed, many)
    form = {"media": "pics", "index": "question_id", "question": "sent", "answer": "bbox", "image": "image"}
    one, two = opened(tmp_path, file="rows.jsonl", **form, rename={"sent": "phrase"})
    assert (one.index, one.reference.question) == ("7", "left one")
    assert one.reference.answers == ("[1.5, 2, 3, 4]",)
    assert one.reference.fields == {
        "image": "1.png",
        "phrase": "left one",
        "bbox": [1.5, 2, 3, 4],
        "question_id": 7,
    }
    assert [media.path.name for media in two.media] == ["1.png", "2.png"]


def parquet(folder: Path, rows: list[dict[str, Any]], name: str) -> None:
    pytest.importorskip("pyarrow")
    import pyarrow
    import pyarrow.parquet

    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), folder / name, row_group_size=2)


def test_shards_of_parquet_with_pictures_in_them(tmp_path: Path) -> None:
    held = {"bytes": RED, "path": "red.png"}
    first = {"id": "a", "question": "<image 1> or <image 2>?", "image_1": held}
    first |= {"image_2": {"bytes": BLUE, "path": None}, "options": None, "answer": None}
    choice = {"id": "b", "image_2": None, "options": "['x', 'y']", "answer": "B"}
    rows = [first, first | choice, first | choice | {"id": "c", "options": "[]", "answer": "['8/3', '2.67']"}]
    parquet(tmp_path, rows[:2], "sets/art/val-00000-of-00002.parquet")
    parquet(tmp_path, rows[2:], "sets/art/val-00001-of-00002.parquet")
    form = {"index": "id", "image": ["image_1", "image_2"], "options": "options"}
    for file in ("sets/art", "sets/*/val-*.parquet"):
        items = opened(tmp_path, file=file, **form)
        assert [item.index for item in items] == ["a", "b", "c"]
        assert [len(item.media) for item in items] == [2, 1, 1]
        assert [media.path.read_bytes() for media in items[0].media] == [RED, BLUE]
        assert items[1].reference.options == {"A": "x", "B": "y"} and items[1].reference.answers == ("B",)
        assert items[2].reference.answers == ("8/3", "2.67")
        # A column of any row is one of all rows: a prompt may name it.
        assert items[0].reference.fields["options"] is None
        assert items[0].reference.fields["split"] == "val" and "image_1" not in items[0].reference.fields


def test_a_data_set_that_was_saved(tmp_path: Path) -> None:
    """As `save_to_disk` leaves it: Arrow streams, and JSON that describes them."""
    pyarrow = pytest.importorskip("pyarrow")
    rows = [{"question": str(n), "image": {"bytes": RED, "path": None}, "answers": ["a"]} for n in range(150)]
    batch = pyarrow.RecordBatch.from_pylist(rows)
    (tmp_path / "val").mkdir()
    for name in ("dataset_info.json", "state.json"):
        (tmp_path / "val" / name).write_text("{}")
    with pyarrow.ipc.new_stream(str(tmp_path / "val" / "data-00000-of-00001.arrow"), batch.schema) as out:
        out.write_batch(batch)
    items = opened(tmp_path, file="val", image="image", answer="answers")
    assert [item.reference.question for item in items] == [str(n) for n in range(150)]
    assert items[149].media[0].path.read_bytes() == RED and items[0].reference.answers == ("a",)
    for data in (b"", b"ARROW1 nothing", b"\xff" * 99, b"\xff\xff\xff\xff\x10\0\0\0" + b"x" * 16):
        (tmp_path / "val" / "data-00000-of-00001.arrow").write_bytes(data)
        with pytest.raises(ValueError, match="no readable Arrow stream"):
            opened(tmp_path, file="val", image="image")


def test_lists_of_pictures_and_of_answers_in_parquet(tmp_path: Path) -> None:
    pictures = [{"bytes": RED, "path": None}, {"bytes": BLUE, "path": None}]
    row = {"images": pictures, "question": "?", "answers": ["nokia"] * 10, "choices": ["x", "y"], "answer": 1}
    parquet(tmp_path, [row], "rows.parquet")
    form = {"file": "rows.parquet", "image": "images", "options": "choices"}
    (item,) = opened(tmp_path, **form, answer=["answers", "answer"])
    assert len(item.media) == 2 and item.reference.answers == ("nokia",) * 10
    assert opened(tmp_path, **form, answer_is="index")[0].reference.answers == ("B",)


def test_numbers_are_names_where_they_make_names(tmp_path: Path) -> None:
    """The picture 2 of question 1 is no question 2."""
    for number, data in ((1, RED), (2, BLUE)):
        (tmp_path / f"{number:03d}.png").write_bytes(data)
    lines(tmp_path, {"id": 1, "image": 2, "question": "?"}, {"id": 2, "image": 1, "question": "?"})
    form = {"index": "id", "image": "image", "named": "{:03d}.png"}
    found = [item.media[0].path.read_bytes() for item in opened(tmp_path, file="rows.jsonl", **form)]
    assert found == [BLUE, RED]


def test_a_shared_picture_is_saved_under_the_rows_own_name(tmp_path: Path) -> None:
    noisy = io.BytesIO()
    PIL.Image.effect_noise((32, 32), 90).convert("RGB").save(noisy, format="PNG")
    rows = [[1, in_text(noisy.getvalue()), "1.png", "?"], [2, "1", "2.jpg", "?"]]
    table(tmp_path, ["index", "image", "image_path", "question"], *rows)
    first, second = opened(tmp_path, index="index", image="image")
    assert first.media[0].path.suffix == ".png" and second.media[0].path.suffix == ".jpg"


ANSWERS: list[tuple[Any, tuple[str, ...]]] = [
    ("yes", ("yes",)),
    (14, ("14",)),
    (0.5, ("0.5",)),
    (None, ()),
    ("", ()),
    ([], ()),
    (["a", "b"], ("a", "b")),
    ("['a', 'b']", ("a", "b")),
    ('["a", "it\'s"]', ("a", "it's")),
    ("['10', 10]", ("10", "10")),
    ("[1, 2, 3, 4]", ("[1, 2, 3, 4]",)),
    ([0.1, 0.2], ("[0.1, 0.2]",)),
    ("[not a list", ("[not a list",)),
    ("[unquoted]", ("[unquoted]",)),
    ([{"answer": "x", "answer_confidence": "yes"}, {"answer": "y"}], ("x", "y")),
    ({"answer": ["x", "y"], "answer_confidence": ["yes", "no"]}, ("x", "y")),
    ([{"caption": "a dog"}], ("a dog",)),
    ([["a", "b"]], ('["a", "b"]',)),
    (True, ("True",)),
]


@pytest.mark.parametrize(("given", "answers"), ANSWERS, ids=lambda v: ascii(v)[:30])
def test_answers_in_any_form(tmp_path: Path, given: Any, answers: tuple[str, ...]) -> None:
    lines(tmp_path, {"question": "?", "answer": given})
    assert opened(tmp_path, file="rows.jsonl")[0].reference.answers == answers


OPTIONS: list[tuple[Any, dict[str, str]]] = [
    (["x", "y"], {"A": "x", "B": "y"}),
    ("['x', 'y']", {"A": "x", "B": "y"}),
    ('["x", "y"]', {"A": "x", "B": "y"}),
    ({"A": "x", "C": "y", "D": None}, {"A": "x", "C": "y"}),
    ("(a) Open (b) Closed", {"A": "Open", "B": "Closed"}),
    ([1, 2.5], {"A": "1", "B": "2.5"}),
    ("['x' \"it's\"\n 'z' ]", {"A": "x", "B": "it's", "C": "z"}),
    ("['x, y' 'z']", {"A": "x, y", "B": "z"}),
    ("['lone']", {"A": "lone"}),
    ("[]", {}),
    (None, {}),
]


@pytest.mark.parametrize(("given", "options"), OPTIONS, ids=lambda v: ascii(v)[:30])
def test_options_in_one_column(tmp_path: Path, given: Any, options: dict[str, str]) -> None:
    lines(tmp_path, {"question": "?", "choices": given})
    assert opened(tmp_path, file="rows.jsonl", options="choices")[0].reference.options == options


@pytest.mark.parametrize(
    ("kind", "answer", "letter"),
    [
        ("index", 1, "B"),
        ("index", "0", "A"),
        ("number", 1, "A"),
        ("letter", "(b)", "B"),
        ("letter", "C.", "C"),
    ]
    + [("option", " red", "C"), ("text", "red", "red")],
)
def test_what_an_answer_stands_for(tmp_path: Path, kind: str, answer: Any, letter: str) -> None:
    lines(tmp_path, {"question": "?", "choices": ["x", "y", "red"], "answer": answer})
    form = {"options": "choices", "answer_is": kind}
    assert opened(tmp_path, file="rows.jsonl", **form)[0].reference.answers == (letter,)


def test_several_files_and_filters(tmp_path: Path) -> None:
    lines(tmp_path, {"q": "1", "id": 1, "kind": "a"}, {"q": "2", "id": 2, "kind": "b"}, name="h.jsonl")
    lines(tmp_path, {"q": "3", "id": 1, "kind": ["a", "c"]}, name="g.jsonl")
    form = {"file": ["human=h.jsonl", "machine=g.jsonl"], "question": "q", "index": ["split", "id"]}
    items = opened(tmp_path, **form)
    assert [item.index for item in items] == ["human/1", "human/2", "machine/1"]
    kept = opened(tmp_path, **form, where={"kind": ["a"], "id": ["1"]})
    assert [item.reference.question for item in kept] == ["1", "3"]
    assert [item.index for item in opened(tmp_path, file="*.jsonl", question="q", where={"kind": ["b"]})] == [
        "3"
    ]


def test_an_object_that_holds_the_rows(tmp_path: Path) -> None:
    rows = [{"questionId": 5, "question": "?", "answers": ["a"], "page_ids": ["p0", "p1"]}]
    (tmp_path / "val.json").write_text(json.dumps({"data": {"items": rows}, "version": 1}, indent=1))
    for page in ("p0.png", "p1.png"):
        (tmp_path / page).write_bytes(RED)
    form = {"index": "questionId", "answer": "answers", "image": "page_ids", "named": "{}.png"}
    (item,) = opened(tmp_path, file="val.json", records="data.items", **form)
    assert item.index == "5" and [media.path.name for media in item.media] == ["p0.png", "p1.png"]
    (tmp_path / "vet.json").write_text(json.dumps({"v1_0": {"question": "?"}, "v1_1": {"question": "!"}}))
    lines(tmp_path, {"question": "?", "image": "p0", "folder": "."})
    form = {"image": "image", "named": "{folder}/{}.png"}
    assert opened(tmp_path, file="rows.jsonl", **form)[0].media[0].path.name == "p0.png"
    assert [i.index for i in opened(tmp_path, file="vet.json", index="key")] == ["v1_0", "v1_1"]


def test_columns_deep_in_objects_and_names_of_several_columns(tmp_path: Path) -> None:
    (tmp_path / "scene").mkdir()
    (tmp_path / "scene" / "one.png").write_bytes(RED)
    asked = {"question": "?", "turns": [{"value": "!"}]}
    lines(tmp_path, {"input": asked, "set": "scene", "picture": "one"}, {"input": "?", "set": "scene"})
    form = {"question": "input.question", "answer": "input.turns.0.value", "image": "picture"}
    one, two = opened(tmp_path, file="rows.jsonl", named="{set}/{picture}.png", sized=True, **form)
    assert (one.reference.question, one.reference.answers) == ("?", ("!",))
    assert one.media[0].path == tmp_path / "scene" / "one.png"
    size = (one.reference.fields["width"], one.reference.fields["height"])
    assert size == PIL.Image.open(one.media[0].path).size and "width" not in two.reference.fields
    assert (two.reference.question, two.reference.answers, two.media) == ("", (), ())


@pytest.mark.parametrize(
    ("given", "options"),
    [
        (["A. a cat", "B. two"], {"A": "a cat", "B": "two"}),
        (["(A) 1.5", "(B) A: 2"], {"A": "1.5", "B": "A: 2"}),
        ("A: x\nB: y (left)\n", {"A": "x", "B": "y (left)"}),
        (["A. a", "C. c"], {"A": "A. a", "B": "C. c"}),
        (["A. a"], {"A": "A. a"}),
        (["a", "B. b"], {"A": "a", "B": "B. b"}),
        ("(a) left (b) right", {"A": "left", "B": "right"}),
    ],
)
def test_letters_in_front_of_options_go_where_each_has_its_own(
    tmp_path: Path, given: object, options: dict[str, str]
) -> None:
    lines(tmp_path, {"question": "?", "choices": given})
    (item,) = opened(tmp_path, file="rows.jsonl", options="choices")
    assert item.reference.options == options


BESIDE = {"file": "ann.json", "records": "annotations", "match": {"id": "image_id"}}


def test_answers_of_another_file(tmp_path: Path) -> None:
    lines(tmp_path, {"id": 3, "question": "a"}, {"id": 4, "question": "b"})
    given = [{"image_id": 4, "answers": [{"answer": "x"}, {"answer": "y"}]}, {"image_id": 3, "answers": []}]
    (tmp_path / "ann.json").write_text(json.dumps({"info": {}, "annotations": given}))
    items = opened(tmp_path, file="rows.jsonl", beside={**BESIDE, "take": {"answers": "answer"}}, index="id")
    assert [item.reference.answers for item in items] == [(), ("x", "y")]
    captions = [
        {"image_id": 3, "caption": "one"},
        {"image_id": 4, "caption": "-"},
        {"image_id": 3, "caption": "two"},
    ]
    (tmp_path / "ann.json").write_text(json.dumps({"annotations": captions}))
    beside = {**BESIDE, "take": {"caption": "answer"}}
    many = opened(tmp_path, file="rows.jsonl", beside=beside | {"many": True})
    assert [item.reference.answers for item in many] == [("one", "two"), ("-",)]
    with pytest.raises(
        ValueError, match=r"rows.jsonl:1: column 'id': 2 rows of ann.json with image_id 3; set 'many"
    ):
        opened(tmp_path, file="rows.jsonl", beside=beside)
    lines(tmp_path, {"id": 5, "question": "a"})
    with pytest.raises(
        ValueError, match=r"column 'id': no row of ann.json with image_id 5; correct 'beside'"
    ):
        opened(tmp_path, file="rows.jsonl", beside=beside)


def test_clips_with_bounds_and_folders_of_frames(tmp_path: Path) -> None:
    frames = tmp_path / "video" / "shows" / "s1"
    frames.mkdir(parents=True)
    for number in range(1, 13):
        (frames / f"{number:05d}.jpg").write_bytes(picture(kind="JPEG"))
    (tmp_path / "video" / "a.mp4").write_bytes(b"clip")
    for name, row in (
        ("order", {"video": "a.mp4", "question": "?", "candidates": ["x", "y"], "answer": "y"}),
        (
            "episodes",
            {"video": "s1", "question": "?", "candidates": ["x"], "answer": "x", "start": 1.5, "end": 3},
        ),
    ):
        (tmp_path / "json").mkdir(exist_ok=True)
        (tmp_path / "json" / f"{name}.json").write_text(json.dumps([row]))
    form: dict[str, Any] = {"video": "video", "start": "start", "end": "end", "fps": 3}
    form |= {
        "options": "candidates",
        "answer_is": "option",
        "folders": {"episodes": "shows"},
        "media": "video",
    }
    first, second = opened(tmp_path, file="json", **form)
    # At 3 a second, 1.5 s is frame 4 (halves go to the even one) and 3 s is frame 9; they count from 1.
    assert first.media == (MediaFile(frames, "video", 3.0, 8.0),)
    assert frame_indices(12, 1.0, 3, 3.0, 8.0) == [3, 5, 6]
    assert second.media == (MediaFile(tmp_path / "video" / "a.mp4", "video"),)
    assert first.reference.answers == ("A",) and second.reference.answers == ("B",)
    assert second.reference.fields["split"] == "order"


def bomb() -> bytes:
    """A PNG whose header says 60,000 by 60,000."""
    data = bytearray(picture())
    data[16:24] = (60_000).to_bytes(4, "big") * 2
    data[29:33] = zlib.crc32(data[12:29]).to_bytes(4, "big")
    return bytes(data)


IMAGE = {"image": "image", "index": "id"}
LINE: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"image": "gone.png"}, IMAGE, r"rows.jsonl:1: column 'image': no file .*gone.png; put it there"),
    ({"image": "../out.png"}, IMAGE, r"rows.jsonl:1: column 'image': '../out.png' is not below .*media"),
    ({"image": "/etc/hosts"}, IMAGE, r"column 'image': '/etc/hosts' is not below .*paths: anywhere"),
    ({"image": "http://x/a.png"}, IMAGE, r"is on the web; fetch it and name the file"),
    ({"image": 3.5}, IMAGE, r"3.5 is neither a name nor a picture"),
    ({"image": "a\0b"}, IMAGE, r"no file "),
    ({"image": "x" * 5000}, IMAGE, r"no file '?.{0,400}; put it there"),
    ({"image": in_text(RED)[:50]}, IMAGE, r"column 'image': .*replace the picture"),
    ({"image": in_text(bomb())}, IMAGE, r"3600000000 pixels.*replace the picture"),
    ({"image": {"bytes": None, "path": None}}, IMAGE, r"None is neither a name nor a picture"),
    ({"id": None}, IMAGE, r"rows.jsonl:1: column 'id': no index; give each row one"),
    ({"answer": "Z"}, {"options": "choices", "answer_is": "letter"}, r"'Z' is no letter of an option"),
    ({"answer": 9}, {"options": "choices", "answer_is": "index"}, r"'9' is no index of an option"),
    ({"choices": ["x"] * 27}, {"options": "choices"}, r"column 'choices': 27 options; 26 can be named"),
    ({}, {"question": "qestion"}, r"no column 'qestion', which 'question' .*; it has .*question"),
    ({}, {"where": {"kind": ["b"]}}, r"none of 1 row is kept; correct 'where'; there are kind: a"),
    ({}, {"records": "x"}, r"rows.jsonl: 'records' is for an object in .json; leave it out"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "form", "message"), LINE)
def test_faults_name_file_row_column_and_remedy(
    tmp_path: Path, change: dict[str, Any], form: dict[str, Any], message: str
) -> None:
    (tmp_path / "a.png").write_bytes(RED)
    row = {"id": 1, "image": "a.png", "question": "?", "choices": ["x", "y"], "answer": "A", "kind": "a"}
    lines(tmp_path, row | change)
    with pytest.raises(ValueError, match=message) as caught:
        list(opened(tmp_path, file="rows.jsonl", **form))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 900


def test_tables_without_a_header(tmp_path: Path) -> None:
    for task in ("count", "color"):
        (tmp_path / task).mkdir()
        (tmp_path / task / "1.png").write_bytes(RED)
        (tmp_path / f"{task}.txt").write_text('1.png\tIs it "red"?\tYes\n1.png\tIs it blue?\tNo\n')
    form = {"columns": ["image", "question", "answer"], "image": "image", "named": "{split}/{}"}
    items = opened(tmp_path, file="*.txt", **form)
    assert [item.reference.answers for item in items] == [("Yes",), ("No",)] * 2
    assert items[2].reference.fields["split"] == "count" and items[2].media[0].path.parent.name == "count"
    assert items[0].reference.question == 'Is it "red"?' and items[0].reference.fields["image"] == "1.png"
    with pytest.raises(ValueError, match=r"count.txt: rows are read from"):
        opened(tmp_path, file="count.txt")


TEXTS = [
    (b"", "no header"),
    (b"a\tb\n1\t2\t3\n", r"rows.tsv:2: 3 cells where the header has 2"),
    (b"a\ta\n1\t2\n", r"two columns are called 'a'"),
    (b'a\tb\n"x\ty\n', r"rows.tsv:2: a quote that opens here never closes"),
    (b"a\tb\nx\t\xff\n", r"rows.tsv:2: byte 3 is 0xff, no UTF-8"),
    (b"question\tb\n", r"rows.tsv: no rows"),
]


@pytest.mark.parametrize(("data", "message"), TEXTS)
def test_faults_of_tables(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "rows.tsv").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        opened(tmp_path)


def test_another_form_of_the_same_file_is_looked_at_anew(tmp_path: Path) -> None:
    """A form that was found sound says nothing of one whose column is misspelt."""
    lines(tmp_path, {"id": 1, "text": "a"}, {"id": 2, "text": "b"})
    assert [item.reference.question for item in opened(tmp_path, file="rows.jsonl", question="text")] == [
        "a",
        "b",
    ]
    with pytest.raises(ValueError, match="no column 'txet'"):
        opened(tmp_path, file="rows.jsonl", question="txet")
    lines(tmp_path, {"id": 1, "text": "c"})
    assert [item.reference.question for item in opened(tmp_path, file="rows.jsonl", question="text")] == ["c"]


def test_an_index_that_stands_twice(tmp_path: Path) -> None:
    table(tmp_path, ["index", "question"], [1, "a"], [2, "b"], [1, "c"])
    with pytest.raises(
        ValueError, match=r"column 'index': '1' stands in .*rows.tsv:2, too; name several columns"
    ):
        opened(tmp_path, index="index")


def test_an_index_need_not_be_the_filtered_rows_own(tmp_path: Path) -> None:
    """Rows that are left out may repeat one, or have none; a gap in a column of numbers makes 1 be 1.0."""
    rows = [[1, "a", "x", "1"], [1, "b", "y", ""], ["", "c", "y", ""]]
    table(tmp_path, ["index", "question", "split", "level"], *rows)
    assert [i.reference.question for i in opened(tmp_path, index="index", where={"split": ["x"]})] == ["a"]
    assert [i.reference.question for i in opened(tmp_path, index="index", where={"level": [1]})] == ["a"]
    gap = opened(tmp_path, index="question", where={"level": [None]})
    assert [i.reference.question for i in gap] == ["b", "c"]
    with pytest.raises(ValueError, match=r"rows.tsv:4: column 'index': no index"):
        opened(tmp_path, index="index", where={"split": ["y"]})


def test_an_index_that_leads_nowhere(tmp_path: Path) -> None:
    table(tmp_path, ["index", "image", "question"], [1, "2", "a"], [2, "1", "b"], [3, in_text(RED), "c"])
    items = opened(tmp_path, index="index", image="image")
    with pytest.raises(ValueError, match=r"rows.tsv:2: column 'image': row '2' has no picture of its own"):
        _ = items[0]
