"""Tables that a narrow terminal can't hold: once "re…" and "fa…" stood over the figures."""

import io

import pytest

from tessera.cli.terminal.tables import Terminal, counts_table


def printed(width: int) -> str:
    out = io.StringIO()
    table = counts_table("source", ("records", "faulty", "tokens"), {"coco": (3, 1, 12345), "b": (1, 0, 2)})
    Terminal(file=out, width=width).print(table)
    return out.getvalue()


def test_a_table_that_fits_stays_a_table() -> None:
    heads = printed(60).splitlines()[1]
    assert all(head in heads for head in ("source", "records", "faulty", "tokens"))


@pytest.mark.parametrize("width", [20, 30])
def test_a_table_that_does_not_fit_becomes_lists(width: int) -> None:
    lines = [line.split() for line in printed(width).splitlines()]
    assert lines[:4] == [["source", "coco"], ["records", "3"], ["faulty", "1"], ["tokens", "12,345"]]
    assert ["source", "b"] in lines
