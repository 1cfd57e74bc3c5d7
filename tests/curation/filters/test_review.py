"""The review page: complete in itself, safe with hostile text, a fair choice of records."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tessera.curation.filters.config import FilterConfig
from tessera.curation.filters.outcome import Decision, Flagged, read_decisions
from tessera.curation.filters.review import choose, write_review
from tests.curation.filters.small import open_run, silent, turns, write_manifest
from tests.curation.filters.test_run import LOOP, pictured, text_records

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)> & \u2028 " + LOOP


def page_of(tmp_path: Path, records: list[dict[str, Any]], **settings: Any) -> tuple[str, dict[str, Any]]:
    run = open_run(write_manifest(tmp_path, a=records), tmp_path / "out", FilterConfig(**settings))
    run.execute(None, silent)
    page = write_review(run).read_text(encoding="utf-8")
    match = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert match is not None
    data = json.loads(match.group(1))
    assert data["run"] == run.stamp()
    return page, data


def test_the_page_needs_nothing_from_outside(tmp_path: Path) -> None:
    page, data = page_of(tmp_path, [*text_records(), pictured(tmp_path, LOOP)])
    assert not re.search(r"(?:src|href)\s*=\s*[\"']?(?:https?:)?//", page)
    assert "http://" not in page and "https://" not in page
    assert "default-src 'none'" in page
    pictures = [picture for sample in data["samples"] for picture in sample["pictures"]]
    assert len(pictures) == 1 and pictures[0].startswith("data:image/jpeg;base64,")


def test_hostile_text_stays_text(tmp_path: Path) -> None:
    page, data = page_of(tmp_path, [turns("q", HOSTILE)])
    assert page.count("<script") == 2 and page.count("</script>") == 2
    assert "onerror=alert(2)>" not in page
    assert data["samples"][0]["turns"][1]["text"] == HOSTILE


def test_samples_carry_rows_places_and_positions(tmp_path: Path) -> None:
    _, data = page_of(tmp_path, text_records())
    assert [(s["record"], s["verdict"]) for s in data["samples"]] == [(3, "borderline"), (1, "drop")]
    assert data["counts"] == {"borderline": 1, "drop": 1, "unreadable": 0}
    loop = data["samples"][1]
    row = next(row for row in loop["rows"] if row["rule"] == "phrase_loop")
    assert loop["turns"][row["turn"]]["text"][row["start"] :].startswith("wait")
    assert loop["place"].endswith("a.jsonl:2")


def test_a_missing_picture_is_told_on_the_page(tmp_path: Path) -> None:
    record = {**pictured(tmp_path, LOOP), "image": "gone.png"}
    _, data = page_of(tmp_path, [record])
    assert "gone.png" in data["samples"][0]["pictures"][0]


def flagged(number: int, verdict: str, rule: str = "phrase_loop") -> Flagged:
    return Flagged("a", number, ({"verdict": verdict, "rule": rule},))


def test_borderline_comes_first_and_the_choice_is_bounded_and_fair() -> None:
    many = [flagged(n, "drop" if n % 10 else "borderline") for n in range(1000)] + [
        flagged(1000, "drop", "faulty")
    ]
    chosen, counts = choose(iter(many), 150)
    assert counts == {"borderline": 100, "drop": 900, "unreadable": 1}
    assert [f.verdict for f in chosen] == ["borderline"] * 100 + ["drop"] * 50
    dropped = [f.record for f in chosen[100:]]
    assert dropped == sorted(dropped) and max(dropped) > 800  # not just the first ones
    again, _ = choose(iter(many), 150)
    assert again == chosen


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: the page can't be run")
def test_what_a_person_presses_is_what_is_downloaded_and_read(tmp_path: Path) -> None:
    """The page's own script on a stand-in for a document: press, download, read back."""
    records = text_records()
    records[5] = turns("😀 q", "😀 " * 30 + LOOP)  # positions count characters, not UTF-16 halves
    run = open_run(write_manifest(tmp_path, a=records), tmp_path / "out")
    run.execute(None, silent)
    page, saved = write_review(run), tmp_path / "decisions.json"
    presses = json.dumps([[0, "drop"], [1, "drop"], [2, "drop"], [1, "keep"], [2, ""]])
    command = ["node", str(Path(__file__).parent / "page_dom.js"), str(page), presses, str(saved)]
    told = json.loads(subprocess.run(command, check=True, timeout=20, capture_output=True, text=True).stdout)
    decisions = read_decisions(saved, run.stamp(), [("a", len(records))])
    assert decisions == {("a", 3): Decision("drop"), ("a", 1): Decision("keep")}
    assert told["cards"] == 3 and told["told"].startswith("2 of 3 decided")
    assert told["marks"] and all(mark.startswith("wait, let me") for mark in told["marks"])
