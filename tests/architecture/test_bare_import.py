"""Importing is cheap and has no side effects; every module imports; help comes at once.

Each figure is the best of three new processes, and the bounds leave room for a busy machine: they are meant
to catch an import that should have been lazy (torch alone takes more than a second), not to measure.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src"
MODULES = sorted(
    ".".join(path.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__")
    for path in (SOURCE / "tessera").rglob("*.py")
    if "assets" not in path.parts
    # Triton comes with PyTorch for CUDA alone.
    and not (path.parent.name == "cuda" and path.stem in ("kernels", "programs") and not find_spec("triton"))
)


def run_python(code: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )


def best_seconds(code: str, tries: int = 3) -> float:
    """Processor time of the fastest of some new processes."""
    seconds = []
    for _ in range(tries):
        start = _of_children()
        done = run_python(code)
        seconds.append(_of_children() - start)
        assert done.returncode == 0, done.stderr
    return min(seconds)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_package_imports_at_once() -> None:
    assert best_seconds("import tessera") < 1.5


def test_help_comes_at_once() -> None:
    """The target is 0.5 s; the bound is twice that because the suite may share its cores."""
    assert best_seconds("from tessera.cli.main import main; main(['--help'])") < 1.0


@pytest.mark.parametrize("heavy", ["torch", "numpy", "transformers", "rich", "pydantic"])
def test_help_needs_no_heavy_library(heavy: str) -> None:
    code = (
        "import sys; from tessera.cli.main import main; "
        f"main(['--help']); assert {heavy!r} not in sys.modules"
    )
    done = run_python(code)
    assert done.returncode == 0, done.stderr


def test_every_module_imports_without_a_word() -> None:
    """One process imports them all: no output, no change of the thread count or the random state.

    transformers is the oracle of the tests and must not be needed at run time: the import is blocked here.
    """
    code = f"""
import importlib, sys
sys.modules["transformers"] = None
import torch, random, numpy, rich.progress  # rich draws a random number when imported; that is not ours
def state():
    return torch.get_num_threads(), torch.initial_seed(), random.getstate(), str(numpy.random.get_state())
before = state()
for name in {MODULES!r}:
    importlib.import_module(name)
assert before == state(), "importing a module changed global state"
"""
    done = run_python(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
