"""Reports of a run given on to other programs that draw curves; each is imported when it is asked for."""

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from tessera.runtime.shown import shown

INSTALL = {
    "tensorboard": "pip install 'tessera-vl[track]'",
    "trackio": "pip install 'tessera-vl[track]'",
    "wandb": "pip install wandb",
}
"""Names of trackers, and what installs them."""


class Tracker(Protocol):
    """Takes the numbers of a step, counted over all stages; called a last time with none."""

    def __call__(self, step: int, values: Mapping[str, float] | None) -> object: ...


def open_tracker(name: str, folder: Path, settings: Mapping[str, Any]) -> Tracker:
    """The tracker of a name, or what the function `module:function` makes of folder and settings.

    ValueError for an unknown name, and for one that isn't installed, with the command that installs it.
    """
    module, _, function = name.partition(":")
    if not function and name not in INSTALL:
        raise ValueError(f"--track {shown(name)}: choose {', '.join(INSTALL)}, or give module:function")
    makers: dict[str, Callable[[Path, Mapping[str, Any]], Tracker]] = {
        "tensorboard": _tensorboard,
        "trackio": lambda *of: _with_init("trackio", *of),
        "wandb": lambda *of: _with_init("wandb", *of),
    }
    try:
        make = getattr(import_module(module), function) if function else makers[name]
        tracker: Tracker = make(folder, settings)
    except ImportError as error:
        remedy = INSTALL.get(name, "put it where Python finds it")
        raise ValueError(f"--track {shown(name)}: {error}; {remedy}") from error
    except AttributeError as error:
        raise ValueError(f"--track {shown(name)}: {error}; name a function of the module") from error
    return tracker


def _tensorboard(folder: Path, settings: Mapping[str, Any]) -> Tracker:
    writer: Any = import_module("torch.utils.tensorboard").SummaryWriter(str(folder / "tensorboard"))
    writer.add_text("recipe", f"```\n{settings}\n```")

    def track(step: int, values: Mapping[str, float] | None) -> None:
        if values is None:
            writer.close()
            return
        for key, value in values.items():
            writer.add_scalar(key, value, step)

    return track


def _with_init(module: str, folder: Path, settings: Mapping[str, Any]) -> Tracker:
    """wandb, and trackio, which has its calls."""
    library: Any = import_module(module)
    library.init(project="tessera", name=folder.name, config=dict(settings))

    def track(step: int, values: Mapping[str, float] | None) -> None:
        if values is None:
            library.finish()
        else:
            library.log(dict(values), step=step)

    return track
