"""Readers that stop early, and terminals that know ASCII alone."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def run(words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = words.replace("tessera", f"{sys.executable} -m tessera.cli.main", 1)
    return subprocess.run(
        ["bash", "-c", line],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("verb", ["models", "models --json", "recipes", "--help"])
def test_a_reader_that_has_seen_enough_is_no_failure(verb: str) -> None:
    """`| head` once ended with exit code 1, or with words about a broken pipe."""
    done = run(f"tessera {verb} | head -c 1 >/dev/null; exit ${{PIPESTATUS[0]}}")
    assert (done.returncode, done.stderr) == (0, "")


def test_ascii_terminals_get_every_sign_spelled(tmp_path: Path) -> None:
    """A bar of blocks was a UnicodeEncodeError."""
    data = tmp_path / "data"
    assert run(f"tessera playground {data} --suite shapes --count 3").returncode == 0
    done = run(f"tessera data check {data / 'meta.json'}", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert "##" in done.stdout and done.stdout.isascii()


def test_an_answer_outside_of_ascii_is_spelled() -> None:
    code = "from tessera.cli.terminal.encoding import *\nmake_safe(); print('\\u6c34 \\u00d7 \\u2588\\u2026')"
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True)
    assert done.stdout == "\\u6c34 x #...\n"
