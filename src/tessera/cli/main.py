"""`tessera <verb> …`: the tree of verbs, made into a command line by tyro.

Help must come up at once, so a verb's module is imported only when the verb is called (or when shell
completion needs them all): nothing here imports torch, numpy, pydantic or another room.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any, Union

import tyro

from tessera import __version__
from tessera.cli.command import Command, WordsCommand


@dataclass(frozen=True)
class Verb:
    """A line of help, and what it leads to: `module:Command` inside `tessera.cli`, or more verbs.

    Instead of a class it may be a function that gives one from the words: the verb and all behind it.
    """

    line: str
    target: str | Mapping[str, Verb]


KINDS = {
    "boxes": "COCO-style boxes: detection, grounding, region naming, counting",
    "remote": "DOTA-style rotated boxes of aerial pictures",
    "classes": "one folder per class, with candidate lists",
    "vqa": "questions and answers: VQAv2, CSV, JSONL",
    "captions": "captions: COCO, CSV, JSONL",
    "ocr": "text lines with boxes: JSONL, PaddleOCR, ICDAR",
    "views": "several camera views: DriveLM, JSONL",
}
BUILD = {kind: Verb(line, "data.build:build_command") for kind, line in KINDS.items()} | {
    "--write-templates": Verb("write the shipped wording into a folder", "data.build:TemplatesCommand")
}
DATA = {
    "check": Verb("check every record: faults, duplicates, lengths, boxes, packs", "data.check:CheckCommand"),
    "preview": Verb("see random samples as the model gets them", "data.preview:PreviewCommand"),
    "pack": Verb("see packs as a picture", "data.pack:PackCommand"),
    "filter": Verb("clean by rules and scores, review, write what stays", "data.filter:FilterCommand"),
    "build": Verb("make conversations from ordinary annotations", BUILD),
}
VERBS = {
    "chat": Verb("ask a model about pictures and clips", "chat:ChatCommand"),
    "models": Verb("list the released models; describe one", "models:ModelsCommand"),
    "convert": Verb("write a checkpoint in another layout; merge LoRA matrices", "convert:ConvertCommand"),
    "diff-prompt": Verb("compare a prompt with another engine's", "diff_prompt:DiffPromptCommand"),
    "recipes": Verb("list the recipes that ship; copy one to edit it", "training.recipes:RecipesCommand"),
    "train": Verb("run a recipe, stage after stage", "training.train:train_command"),
    "inspect": Verb("show how a picture becomes tiles and tokens", "inspect:InspectCommand"),
    "demo": Verb("train and measure the scale model (10 minutes)", "training.demo:DemoCommand"),
    "evaluate": Verb("measure a model on held-out playground tasks", "evaluate:EvaluateCommand"),
    "playground": Verb("write drawn pictures with known answers", "playground:PlaygroundCommand"),
    "data": Verb("check, preview, pack, filter and build training data", DATA),
}

ABOUT = """The InternVL series, end to end. `tessera VERB --help` lists the options of a verb, `tessera
--version` prints the version, `tessera --tyro-print-completion bash` (or zsh) what completes in a shell."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `tessera` with the given arguments (default: the command line) and return the exit code.

    0 done, 1 the verb found problems, 2 a wrong argument or input (one line on stderr), 130 interrupted.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if words[:1] == ["--version"]:
        print(f"tessera {__version__}")
        return 0
    name = f"tessera {words[0]}" if words and words[0] in VERBS else "tessera"
    try:
        return parse(words).run()
    except SystemExit as done:  # tyro's way: 0 behind help, 2 behind a mistake
        return 2 if done.code else 0
    except (ValueError, FileNotFoundError, IsADirectoryError, PermissionError) as error:
        print(f"{name}: {error}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader (head, less) has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def parse(words: list[str]) -> Command:
    """The command that the words ask for. ValueError for an unknown verb; tyro's exit for other mistakes."""
    flags = (tyro.conf.FlagCreatePairsOff,)
    options: dict[str, Any] = {"prog": "tessera", "description": ABOUT, "config": flags}
    commands = subcommands(VERBS, words)
    words = words if words and not is_group(words) else [*words, "--help"]
    given, rest = tyro.cli(commands, args=words, return_unknown_args=True, **options)
    # Words may stand on both sides of an option, where tyro takes one run of them; all behind "--" are words.
    literal = words[words.index("--") :] if "--" in words else []
    loose = [word for word in rest if word in literal or not word.startswith("-")]
    if isinstance(given, WordsCommand) and loose == rest:
        return replace(given, words=(*given.words, *rest))
    command: Command = tyro.cli(commands, args=words, **options) if rest else given
    return command


def subcommands(verbs: Mapping[str, Verb], words: Sequence[str]) -> Any:
    """The union that tyro makes subcommands of; only the branch that the words name leads anywhere.

    Raises ValueError with the nearest names for a verb that is not there.
    """
    called = words[0] if words else ""
    if called and not called.startswith("-") and called not in verbs:
        near = get_close_matches(called, verbs, 1, cutoff=0.7)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"{called!r} is unknown; {hint}choose one of {', '.join(verbs)}")
    everything = any(word.startswith("--tyro-") for word in words)
    branches = []
    for name, verb in verbs.items():
        target = _target(name, verb, words) if name == called or everything else _NotCalled
        filled = isinstance(target, Command)
        about = tyro.conf.subcommand(
            name,
            description=verb.line if target is _NotCalled or not isinstance(verb.target, str) else None,
            constructor=type(target) if filled else target,
            **({"default": target} if filled else {}),
        )
        branches.append(Annotated[Any, about])
    return Union[tuple(branches)]  # noqa: UP007


def is_group(words: Sequence[str]) -> bool:
    """Whether the words end where more verbs are to choose from."""
    level: str | Mapping[str, Verb] = VERBS
    for word in words:
        if isinstance(level, str) or word not in level:
            return False
        level = level[word].target
    return not isinstance(level, str)


@dataclass(frozen=True)
class _NotCalled:
    """Stands for a verb that is listed, and not imported."""


def _target(name: str, verb: Verb, words: Sequence[str]) -> Any:
    """The command of a verb: a class, an instance that holds the defaults, or a union of further verbs."""
    behind = words[1:] if words[:1] == [name] else [word for word in words if word.startswith("--tyro-")]
    if not isinstance(verb.target, str):
        return subcommands(verb.target, behind)
    module, _, attribute = verb.target.partition(":")
    found = getattr(import_module(f"tessera.cli.{module}"), attribute)
    return found if isinstance(found, type) else found([name, *behind])


if __name__ == "__main__":
    sys.exit(main())
