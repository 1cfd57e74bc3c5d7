"""What commands are made of: a frozen value whose fields are the options, and the options that many share.

Imported by every call of `tessera`, so the rooms are imported inside of the methods.
"""

from __future__ import annotations

import json
import math
import os
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from tessera.runtime.interrupt import ProcessLost

if TYPE_CHECKING:
    from tessera.chat.encoder import Encoder
    from tessera.chat.tokenizer import Tokenizer
    from tessera.families.family import Family

MISTAKES = (ValueError, FileNotFoundError, IsADirectoryError, PermissionError)
"""What the user can mend: told in one line."""
STOPPED = (ProcessLost, FloatingPointError)
"""What ended work that had begun well: told in one line, too."""


@dataclass(frozen=True, kw_only=True)
class Command(ABC):
    """A verb with its options as the command line gave them."""

    @abstractmethod
    def run(self) -> int:
        """Do it and return the exit code. Raises ValueError for what the user can mend."""

    def targets(self) -> Mapping[Path, bool]:
        """What it writes: a file → False, a folder → True. All are tried before the work begins."""
        return {}

    def at_least(self, **lowest: int) -> None:
        """ValueError naming the first of these options that is below its lowest value."""
        for name, least in lowest.items():
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"--{name.replace('_', '-')} {value}: give at least {least}")


@dataclass(frozen=True)
class Verb:
    """A line of help, and what it leads to: a command, more verbs, or where to find that.

    `module:name` below `tessera.cli` is imported when the verb is called. A function there gives the command
    from the words behind the verb.
    """

    line: str
    target: str | type[Command] | Mapping[str, Verb]
    fields: tuple[str, ...] | None = None
    """Where it leads to a FieldsCommand: settings set aside, beside all with a dot in their names."""


@dataclass(frozen=True, kw_only=True)
class ReportingCommand(Command):
    """A command whose result can be had as JSON."""

    json: bool = False
    """Print one JSON object instead of text."""

    def tell(self, values: Callable[[], Any], show: Callable[[], object]) -> None:
        """Print the values as JSON (paths as text, null for what is no number), or show them as text."""
        if self.json:
            print(json.dumps(_finite(values()), ensure_ascii=False, default=os.fspath))
        else:
            show()


def _finite(value: Any) -> Any:
    """The same without NaN and infinities, for which JSON has no word."""
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


@dataclass(frozen=True, kw_only=True)
class WordsCommand(ReportingCommand):
    """A command about words, which may stand before, between and behind the options."""

    words: Annotated[tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[WORD ...]")] = ()
    """What it is about."""


@dataclass(frozen=True, kw_only=True)
class FieldsCommand(Command):
    """A command that finds settings while it runs, whose fields can be set like those of `tessera train`."""

    fields: tyro.conf.Suppress[tuple[str, ...]] = ()
    """Options that `Verb.fields` sets aside, and their values."""


@dataclass(frozen=True, kw_only=True)
class CountingCommand(Command):
    """A command that counts with a model's template, tiles and tokenizer; no weights are read."""

    model: str | None = None
    """Checkpoint folder (any layout) or name whose settings and tokenizer are used."""
    family: str = "scale_model"
    """Without --model: whose settings, e.g. InternVL2_5-4B."""
    tokenizer: Path | None = None
    """Without --model: folder of the tokenizer; the shipped one by default."""

    def described(self) -> tuple[Family, Tokenizer]:
        """The settings and the tokenizer of the model."""
        from tessera.chat.tokenizer import load_tokenizer
        from tessera.checkpoints.hub import find_checkpoint
        from tessera.checkpoints.load import read_description
        from tessera.checkpoints.shipped import shipped_folder
        from tessera.families.catalogue import fresh

        if self.model is not None:
            description = read_description(find_checkpoint(self.model))
            return description.family, description.tokenizer
        tokenizer = load_tokenizer(self.tokenizer or shipped_folder("tokenizer"))
        return fresh(self.family, tokenizer), tokenizer

    def encoder(self) -> Encoder:
        """The encoder that training or chat with this model would use."""
        family, tokenizer = self.described()
        return family.encoder(tokenizer)


@dataclass(frozen=True, kw_only=True)
class WorkersCommand(Command):
    """A command that spreads its work over processes."""

    workers: int | None = None
    """Processes; one per core by default, 0 is this process."""

    @property
    def processes(self) -> int:
        """How many to start."""
        return os.cpu_count() or 1 if self.workers is None else self.workers
