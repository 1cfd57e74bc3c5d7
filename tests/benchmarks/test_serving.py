"""The benchmark of serving: its workload, its figures, and one small run of our side."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(autouse=True)
def beside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


def test_the_workload() -> None:
    from serving_workload import arrivals, bodies

    asked = bodies(200, [(96, 96)], [8, 16], False, 1)
    shown = [part["image_url"]["url"] for body in asked for part in body["messages"][0]["content"][:-1]]
    assert len(shown) == 100 and 55 <= len(set(shown)) <= 75, "a third was seen before"
    assert {body["max_tokens"] for body in asked} == {8, 16}
    assert asked == bodies(200, [(96, 96)], [8, 16], False, 1)
    times = arrivals(1000, 10.0, 1)
    assert times == sorted(times) and 85 < times[-1] < 115


def test_figures_and_what_fails() -> None:
    from serving import row
    from serving_load import Heard

    one = Heard(0.0, 1.0, [2.0, 3.0, 5.0], "abc", 4)
    found = row([one, one])
    assert found["tokens/s"] == 2 and found["first token p50, s"] == 1 and found["a token p50, s"] == 1
    with pytest.raises(SystemExit, match="1 of 2 requests failed, the first with: no"):
        row([one, Heard(0.0, fault="no")])


def test_ours_against_the_engine_alone(capsys: pytest.CaptureFixture[str]) -> None:
    from serving import main

    main(["--requests", "6", "--rate", "0", "--rounds", "1"])
    told = json.loads(capsys.readouterr().out.splitlines()[-1])
    rows = told["rows"]
    assert rows["ours, full"]["tokens/s"] > 1 and rows["ours, full"]["same words"] >= 0.5
    by_clock = {"ours / offline", "ours / engine"}
    assert set(told["ratios"]) == by_clock | {"ours / offline, by processor seconds"}
