"""The C sources of `kernels/` as a library: compiled by the machine's own compiler, tried, kept in the cache.

A list of processor features is no proof that an instruction may be used (some virtual machines name what they
trap), so a fresh library is first tried in a process of its own, which may die of it.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

import torch

from tessera.runtime.disk import cache_root
from tessera.runtime.shown import shown

SOURCES = Path(__file__).with_name("kernels")
FLAGS = ("-O3", "-ffp-contract=fast", "-fno-math-errno", "-fPIC", "-fopenmp")
FOR_THIS_MACHINE = (("-march=native",), ("-mcpu=native",), ())
"""The first that the compiler takes."""
PATIENCE = 300
"""Seconds for the compiler, on a machine that has other things to do."""
OFF = "TESSERA_NATIVE"
"""Environment variable; `0` keeps to PyTorch."""


class NoLibrary(Exception):
    """Why there is none, in words for the line that tells how a model runs."""


def build() -> Path:
    """The library for this machine, made when it isn't there yet. Raises NoLibrary.

    Several processes may build at once: each in a folder of its own, and the last one stays.
    """
    if os.environ.get(OFF) == "0":
        raise NoLibrary(f"{OFF} is 0")
    compiler = shutil.which(os.environ.get("CC") or "cc")
    if compiler is None:
        raise NoLibrary("no C compiler: install one, or name it in CC")
    try:
        folder = own_folder()
        library = folder / f"{_fingerprint(compiler)}.so"
        if not library.is_file():
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                made = _compile(compiler, Path(fresh))
                _try(made)
                made.replace(library)
        return library
    except (OSError, subprocess.SubprocessError) as error:
        raise NoLibrary(shown(error, bare=True)) from error


def own_folder() -> Path:
    """Where libraries and measurements lie. Raises NoLibrary where others may write: code comes from it."""
    folder = cache_root() / "native"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise NoLibrary(f"{shown(folder)} may be written by others: `chmod 700` it, or set TESSERA_CACHE")
    return folder


@cache
def machine() -> str:
    """The processor by name and features, as far as the system tells them."""
    told = Path("/proc/cpuinfo")
    lines = told.read_text(errors="replace").splitlines() if told.is_file() else []
    kinds = ("model name", "flags", "Features", "CPU part")
    told_once = sorted({line for line in lines if line.startswith(kinds)})
    return "\n".join((platform.machine(), platform.processor(), *told_once))


def _fingerprint(compiler: str) -> str:
    version = subprocess.run([compiler, "--version"], capture_output=True, text=True, timeout=PATIENCE).stdout
    parts = [version, machine(), repr(FLAGS), torch.__version__, sys.version]
    parts += [source.read_text() for source in sorted(SOURCES.iterdir())]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:32]


def _compile(compiler: str, folder: Path) -> Path:
    """The library in a folder. The threads are those of PyTorch's OpenMP where it brings its own: with a
    second pool each would wait for the other's cores."""
    objects = [folder / f"{source.stem}.o" for source in sorted(SOURCES.glob("*.c"))]
    said = ""
    for native in FOR_THIS_MACHINE:
        for made in objects:
            source = SOURCES / f"{made.stem}.c"
            said = _run(compiler, *FLAGS, *native, "-c", str(source), "-o", str(made))
            if said:
                break
        if not said:
            break
    library = folder / "library.so"
    linked = list(map(str, _threads())) or ["-fopenmp"]
    said = said or _run(compiler, "-shared", *map(str, objects), *linked, "-lm", "-o", str(library))
    if said:
        raise NoLibrary(f"{compiler} failed: {said}")
    return library


def _threads() -> list[Path]:
    """The OpenMP library that PyTorch brings, if it does."""
    return sorted((Path(torch.__file__).parent / "lib").glob("libgomp*.so*"))[:1]


def _run(*words: str) -> str:
    """Nothing, or the first line of what the compiler has against it."""
    done = subprocess.run(words, capture_output=True, text=True, errors="replace", timeout=PATIENCE)
    told = (line for line in done.stderr.splitlines() if "error" in line)
    return "" if done.returncode == 0 else shown(next(told, f"it ended with {done.returncode}"), bare=True)


def _try(library: Path) -> None:
    """Run every kernel once, in another process. It brings no PyTorch, whose threads are given by path."""
    loads = [f"ctypes.CDLL({str(path)!r}, ctypes.RTLD_GLOBAL)" for path in _threads()]
    trial = f"sys.exit(ctypes.CDLL({str(library)!r}).tessera_trial())"
    words = [sys.executable, "-I", "-S", "-c", "; ".join(["import ctypes, sys", *loads, trial])]
    done = subprocess.run(words, capture_output=True, timeout=PATIENCE)
    if done.returncode:
        raise NoLibrary(f"the compiled kernels failed their trial with {done.returncode}")


@cache
def load() -> ctypes.CDLL:
    """The library in this process. Raises NoLibrary, each time anew."""
    try:
        return ctypes.CDLL(str(build()))
    except OSError as error:
        raise NoLibrary(shown(error, bare=True)) from error
