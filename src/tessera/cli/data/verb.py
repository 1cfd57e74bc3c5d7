"""`tessera data <verb> …`: what can be done with training data; each verb is imported when it is called."""

from __future__ import annotations

import importlib
from collections.abc import Callable

VERBS: dict[str, tuple[str, str]] = {
    "check": ("tessera.cli.data.check", "check every record: faults, duplicates, lengths, boxes, packs"),
    "preview": ("tessera.cli.data.preview", "see random samples as the model gets them"),
    "pack": ("tessera.cli.data.pack", "see packs as a picture"),
    "filter": ("tessera.cli.data.filter", "clean by rules and model scores, review, write what stays"),
    "build": ("tessera.cli.data.build", "make conversations from ordinary annotations"),
}
"""Verb → (module with `main(argv) -> int`, one line of help)."""


def usage() -> str:
    """The help page: every verb with its line."""
    lines = ["usage: tessera data <verb> [arguments]      (tessera data <verb> --help for its arguments)", ""]
    return "\n".join([*lines, *(f"  {verb:<10}{line}" for verb, (_, line) in VERBS.items())])


def main(argv: list[str]) -> int:
    """Run a verb and return its exit code. ValueError for a verb that is not in the table."""
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if argv[0] not in VERBS:
        raise ValueError(f"data verb: {argv[0]!r} is unknown; choose one of {', '.join(VERBS)}")
    verb: Callable[[list[str]], int] = importlib.import_module(VERBS[argv[0]][0]).main
    return verb(argv[1:])
