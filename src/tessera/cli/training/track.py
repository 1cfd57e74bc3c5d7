"""Reports of a run given on to other programs that draw curves; each is imported when it is asked for."""

import sys
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from secrets import token_hex
from typing import Any, Protocol

from tessera.runtime.atomic import atomic_write
from tessera.runtime.disk import disk_faults
from tessera.runtime.shown import shown

INSTALL = {
    "tensorboard": "pip install 'tessera-vl[track]'",
    "trackio": "pip install trackio",
    "wandb": "pip install wandb",
}
"""Names of trackers, and what installs them."""
PROJECT, RUN_ID = "tessera", "track_id"
"""Project of a tracker, and the file in a run's folder by which it goes on in the same curve."""


class Tracker(Protocol):
    """Takes the numbers of a step, counted over all stages; called a last time with none."""

    def __call__(self, step: int, values: Mapping[str, float] | None) -> object: ...


def open_tracker(name: str, folder: Path, settings: Mapping[str, Any]) -> Tracker:
    """The tracker of a name, or what the function `module:function` makes of folder and settings.

    ValueError for an unknown name, and for one that isn't installed, with the command that installs it.
    """
    module, _, function = name.partition(":")
    if not module or (not function and name not in INSTALL):
        raise ValueError(f"--track {shown(name)}: choose {', '.join(INSTALL)}, or give module:function")
    makers: dict[str, Callable[[Path, Mapping[str, Any]], Tracker]] = {
        "tensorboard": _TensorBoard,
        "trackio": _trackio,
        "wandb": _wandb,
    }
    try:
        make = getattr(import_module(module), function) if function else makers[name]
        tracker: Tracker = make(folder, settings)
    except ImportError as error:
        remedy = INSTALL.get(name, "put it where Python finds it")
        raise ValueError(f"--track {shown(name)}: {error}; {remedy}") from error
    except AttributeError as error:
        raise ValueError(f"--track {shown(name)}: {error}; name a function of the module") from error
    if not callable(tracker):
        raise ValueError(f"--track {shown(name)}: gave {shown(tracker)}; return a function")
    return tracker


class _TensorBoard:
    """Writes into `tensorboard` of a run's folder. The file is opened at the first step that is tracked: what
    stands there from that step on is of a run that was stopped behind its last state, and is taken again."""

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self._folder, self._settings = folder / "tensorboard", settings
        self._make: Any = import_module("torch.utils.tensorboard").SummaryWriter
        self._writer: Any = None

    def __call__(self, step: int, values: Mapping[str, float] | None) -> None:
        if self._writer is None:
            if values is None:
                return
            self._writer = self._make(str(self._folder), purge_step=step)
            self._writer.add_text("recipe", f"```\n{self._settings}\n```", step)
        if values is None:
            self._writer.close()
            return
        for key, value in values.items():
            self._writer.add_scalar(key, value, step)


def _wandb(folder: Path, settings: Mapping[str, Any]) -> Tracker:
    """ValueError when nobody is logged in, or the run can't be opened."""
    wandb: Any = import_module("wandb")
    named = {"project": PROJECT, "name": folder.name, "id": _run_id(folder), "dir": str(folder)}
    try:
        run = wandb.init(**named, resume="allow", config=dict(settings))
    except wandb.Error as error:
        raise ValueError(f"--track wandb: {shown(error)}; or keep it here with WANDB_MODE=offline") from error
    return lambda step, values: run.finish() if values is None else run.log(dict(values), step=step)


def _trackio(folder: Path, settings: Mapping[str, Any]) -> Tracker:
    """It tells on stdout what it does, where the result of a command belongs."""
    trackio: Any = import_module("trackio")
    name = f"{folder.name}-{_run_id(folder)}"  # its runs are found by their names alone
    with redirect_stdout(sys.stderr):
        run = trackio.init(project=PROJECT, name=name, resume="allow", config=dict(settings))

    def track(step: int, values: Mapping[str, float] | None) -> None:
        with redirect_stdout(sys.stderr):
            if values is None:
                run.finish()
            else:
                run.log(dict(values), step=step)

    return track


def _run_id(folder: Path) -> str:
    """By which a tracker knows a run again that goes on; drawn when it is tracked the first time."""
    file = folder / RUN_ID
    if not file.is_file():
        with disk_faults(file), atomic_write(file) as stream:
            stream.write(token_hex(4).encode())
    return file.read_text(encoding="utf-8").strip()
