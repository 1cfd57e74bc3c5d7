"""`tessera <verb> …`: a table of verbs, each imported only when it is called.

Help must come up at once, so nothing here imports torch, numpy or another room.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Callable

from tessera import __version__

Verb = Callable[[list[str]], int]

VERBS: dict[str, tuple[str, str]] = {
    "chat": ("tessera.cli.chat", "ask a model about pictures and clips"),
    "models": ("tessera.cli.models", "list the released models; describe one"),
    "convert": ("tessera.cli.convert", "write a checkpoint in another layout; merge LoRA matrices"),
    "diff-prompt": ("tessera.cli.diff_prompt", "compare the tokens of a prompt with another engine's"),
    "train": ("tessera.cli.train", "run a recipe, stage after stage"),
    "inspect": ("tessera.cli.inspect", "show how a picture becomes tiles and tokens"),
    "demo": ("tessera.cli.demo", "train the scale model, evaluate it, write a report (10 minutes)"),
    "evaluate": ("tessera.cli.evaluate", "measure a model on held-out playground tasks"),
    "playground": ("tessera.cli.playground", "write drawn pictures with known answers in InternVL's format"),
    "data": ("tessera.cli.data.verb", "check, preview, pack, filter and build training data"),
}
"""Verb → (module with `main(argv) -> int`, one line of help)."""


def usage() -> str:
    """The help page: every verb with its line."""
    lines = ["usage: tessera <verb> [arguments]      (tessera <verb> --help for its arguments)", ""]
    lines += [f"  {verb:<13}{line}" for verb, (_, line) in VERBS.items()]
    lines += ["", "  --version    the version of the package", "  --help       this page"]
    return "\n".join(lines)


def load_verb(name: str) -> Verb:
    """The `main` of a verb. Raises ValueError for a name that is not in the table."""
    if name not in VERBS:
        raise ValueError(f"verb: {name!r} is unknown; choose one of {', '.join(VERBS)}")
    verb: Verb = importlib.import_module(VERBS[name][0]).main
    return verb


def main(argv: list[str] | None = None) -> int:
    """Run `tessera` with the given arguments (default: the command line) and return the exit code.

    0 done, 1 the verb found problems, 2 a wrong argument or input (one line on stderr), 130 interrupted.
    """
    arguments = sys.argv[1:] if argv is None else argv
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if arguments[0] == "--version":
        print(f"tessera {__version__}")
        return 0
    try:
        return load_verb(arguments[0])(arguments[1:])
    except (ValueError, FileNotFoundError, IsADirectoryError, PermissionError) as error:
        print(f"tessera {arguments[0]}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


if __name__ == "__main__":
    sys.exit(main())
