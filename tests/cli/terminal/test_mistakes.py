"""A wrong command line is told in one line, on a terminal with lines for boxes and on one without."""

import os
import subprocess
import sys

import pytest

WRONG = {
    "chat --modle x": "tessera chat: '--modle' is no option here; did you mean --model? ",
    "data check": "tessera data check: MANIFEST is missing; --help says what to give",
    "data filter": "tessera data filter: MANIFEST and --out are missing; --help says what to give",
    "data check a b": "tessera data check: 'b' is one word too many; --help lists the options",
    "data check a --max-tokens x": "tessera data check: --max-tokens: 'x' is not a whole number",
    "chat --temperature hot": "tessera chat: --temperature: 'hot' is not a number",
    "evaluate --count": "tessera evaluate: --count: a value is missing behind it",
    "chat --device-map x": "tessera chat: --device-map: 'x' is none of ",
    "data build boxes x --out y --forms z": "tessera data build: --forms: 'z' is none of 'detection',",
}


@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_mistake_is_one_line(encoding: str) -> None:
    calls = "\n".join(f"main({words.split()!r})" for words in WRONG)
    code = f"from tessera.cli.main import main\n{calls}"
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "80"}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, check=True)
    lines = done.stderr.decode().splitlines()
    assert len(lines) == len(WRONG)
    for line, said in zip(lines, WRONG.values(), strict=True):
        assert line.startswith(said)
    assert not done.stdout
