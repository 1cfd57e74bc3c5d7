"""A wheel installed in an empty folder runs everywhere: recipes, templates and weights come with it.

Recipes once lay outside the package, and `tessera demo` worked in a checkout alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.cli.test_demo import RECIPE


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, repo_root: Path) -> Path:
    """The wheel's content. It is built from a copy, as building leaves files beside the source."""
    copy, wheels = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheels")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(repo_root / name, copy)
    hidden = shutil.ignore_patterns("__pycache__", "*.egg-info")
    shutil.copytree(repo_root / "src", copy / "src", ignore=hidden)
    command = [sys.executable, "-m", "pip", "wheel", str(copy), "--no-deps", "--no-build-isolation", "-q"]
    subprocess.run([*command, "-w", str(wheels)], check=True, capture_output=True, timeout=110)
    site = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(next(wheels.glob("*.whl"))) as wheel:
        wheel.extractall(site)
    return site


def tessera(site: Path, place: Path, *words: str) -> str:
    """What the installed command prints, called in another folder; the libraries are those of the tests."""
    done = subprocess.run(
        [sys.executable, "-m", "tessera.cli.main", *words],
        cwd=place,
        env={**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_everything_is_in_it(site: Path, repo_root: Path) -> None:
    source = repo_root / "src"
    files = {path.relative_to(source) for path in source.glob("tessera/**/*") if path.is_file()}
    wanted = {path for path in files if "__pycache__" not in path.parts}
    missing = sorted(path.as_posix() for path in wanted if not (site / path).is_file())
    assert not missing, f"package-data in pyproject.toml lacks {missing}"


def test_recipes_and_training(site: Path, tmp_path: Path) -> None:
    assert "scale_model/internvl_2_5" in tessera(site, tmp_path, "recipes")
    steps = [f"--stages.{stage}.steps=1" for stage in range(3)]
    packs = [f"--stages.{stage}.packing.max-tokens=1024" for stage in range(3)]
    shown = tessera(site, tmp_path, "train", "--out", "runs/mine", "internvl_2_5", *steps, *packs)
    assert "model written to runs/mine/2_full" in shown


def test_demo(site: Path, tmp_path: Path) -> None:
    (tmp_path / "tiny.py").write_text(RECIPE)
    shown = tessera(site, tmp_path, "demo", "--recipe", "tiny.py", "--count", "1")
    assert "mean, one picture" in shown and (tmp_path / "runs" / "demo" / "report.html").is_file()
