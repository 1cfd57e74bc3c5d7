"""The soak in short: mixed, cancelled and malformed requests to a server in a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_two_hundred_requests(capsys: pytest.CaptureFixture[str]) -> None:
    """Memory still grows with so few: code of products is compiled, and caches fill."""
    from soak import main

    code = main(["--requests", "200", "--pool", "14", "--growth", "400"])
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (code, found["faults"], found["other answers"]) == (0, [], 0)
    statuses = found["statuses"]
    assert statuses["0"] > 5 and statuses["400"] > 15 and statuses["200"] > 150
    assert not any(status >= "500" for status in statuses)
    assert found["engine"]["tessera_engine_answer_tokens_total"] > 500


def test_faults_are_found() -> None:
    from soak import Seen, check, growth
    from soak_requests import Request

    seen = Seen()
    check(Request("/x", b""), 500, b'{"error": {}}', seen)
    check(Request("/x", b"", 400), 400, b'{"error": {}, "detail": "Traceback"}', seen)
    check(Request("/x", b"", 400), 400, b'{"error": {}}', seen)
    assert len(seen.wrong) == 2 and "500 in the place of 200" in seen.wrong[0]
    assert growth([(number, 100.0 + number) for number in range(10)]) == 6
