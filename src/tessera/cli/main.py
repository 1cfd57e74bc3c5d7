"""`tessera <verb> …`: the tree of verbs, made into a command line by tyro.

Help must come up at once, so a verb's module is imported only when the verb is called (or when shell
completion needs them all): nothing here imports torch, numpy, pydantic or another room.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from importlib import import_module
from typing import Annotated, Any, Union

import tyro

from tessera import __version__
from tessera.cli.command import MISTAKES, STOPPED, Command, FieldsCommand, Verb, WordsCommand
from tessera.cli.terminal.encoding import close_early, make_safe
from tessera.cli.terminal.mistakes import in_one_line, mistakes_as_errors
from tessera.runtime.disk import FAULTS, disk_fault, require_writable
from tessera.runtime.shown import shown, visible

DATA = {
    "check": Verb("check every record: faults, duplicates, lengths, boxes, packs", "data.check:CheckCommand"),
    "preview": Verb("see random samples as the model gets them", "data.preview:PreviewCommand"),
    "pack": Verb("see packs as a picture", "data.pack:PackCommand"),
    "filter": Verb("clean by rules and scores, review, write what stays", "data.filter:FilterCommand"),
    "build": Verb("make conversations from ordinary annotations", "data.build:BUILD"),
}
PREFER = {
    "sample": Verb("ask a model every question many times", "preference.sample:SampleCommand"),
    "dropout": Verb("end responses without their pictures, for pairs", "preference.dropout:DropoutCommand"),
    "score": Verb(
        "judge sampled responses: right, wrong, or without an answer", "preference.score:ScoreCommand"
    ),
    "pair": Verb("pair right responses with others, and see the pairs", "preference.pair:PairCommand"),
}
PRM = {
    "build": Verb("make data: solutions, their steps, and scores of these", "reward.build:PrmBuildCommand"),
    "score": Verb("rate responses, each step and the whole", "reward.score:PrmScoreCommand"),
    "evaluate": Verb("measure one on labelled steps", "reward.evaluate:PrmEvaluateCommand"),
}
SEGMENT = {
    "train": Verb("train a head on a vision encoder", "vision.segment:SegmentTrainCommand"),
    "evaluate": Verb("measure one: mIoU", "vision.segment:SegmentEvaluateCommand"),
    "predict": Verb("see what the pixels of pictures show", "vision.segment:SegmentPredictCommand"),
}
LINK = {
    "draw": Verb("write drawn pictures with questions about masks", "link.draw:LinkDrawCommand"),
    "evaluate": Verb("measure how well a model's masks fit", "link.evaluate:LinkEvaluateCommand"),
}
RECIPE_FIELDS = (
    *("name", "best", "save_every", "save_dtype", "save_in_background"),
    *("log_every", "on_nonfinite", "most_skipped"),
)
"""Fields of a recipe without parts, but for those that `tune` has as options of its own."""
VERBS = {
    "chat": Verb("ask a model about pictures and clips", "chat:ChatCommand"),
    "answer": Verb("answer by the best, or the most, of several candidates", "serving.answer:AnswerCommand"),
    "classify": Verb("say what pictures show, of classes in words", "retrieval.classify:ClassifyCommand"),
    "retrieve": Verb("find pictures by texts, texts by pictures", "retrieval.retrieve:RetrieveCommand"),
    "models": Verb("list the released models; describe one", "models:ModelsCommand"),
    "serve": Verb("serve a model to OpenAI's clients", "serving.serve:ServeCommand"),
    "run": Verb("answer a file of requests, as OpenAI's batches are", "serving.run:RunFileCommand"),
    "convert": Verb("write a checkpoint in another layout; merge LoRA matrices", "convert:ConvertCommand"),
    "quantize": Verb("write a checkpoint in 8 or 4 bits, and measure it", "quantize:QuantizeCommand"),
    "diff-prompt": Verb("compare a prompt with another engine's", "diff_prompt:DiffPromptCommand"),
    "recipes": Verb("list the recipes that ship; copy one to edit it", "training.recipes:RecipesCommand"),
    "train": Verb("run a recipe, stage after stage", "training.train:train_command"),
    "page": Verb("write the page of a run anew", "training.run_page:PageCommand"),
    "tune": Verb("fine-tune a model on your data, LoRA or full", "training.tune:TuneCommand", RECIPE_FIELDS),
    "graft": Verb("put a trained ViT on another language model", "training.graft:GraftCommand"),
    "features": Verb("write what a vision encoder sees, and look at it", "vision.features:FeaturesCommand"),
    "probe": Verb("measure what classes a vision encoder tells apart", "vision.probe:ProbeCommand"),
    "segment": Verb("tell what every pixel shows: train, measure, predict", SEGMENT),
    "inspect": Verb("show how a picture becomes tiles and tokens", "inspect:InspectCommand"),
    "demo": Verb("train and measure the scale model (10 minutes)", "training.demo:DemoCommand"),
    "evaluate": Verb(
        "measure a model on benchmarks, or on drawn tasks", "evaluation.command:EvaluateCommand"
    ),
    "playground": Verb("write drawn pictures with known answers", "playground:PlaygroundCommand"),
    "data": Verb("check, preview, pack, filter and build training data", DATA),
    "prefer": Verb("make preference data: sample, score, pair", PREFER),
    "prm": Verb("process reward models: make data, rate responses, measure one", PRM),
    "link": Verb("answers that are masks: draw data, measure a model", LINK),
}
GROUPS: tuple[list[str], ...] = (
    *([], ["data"], ["data", "build"]),
    *([name] for name in ("prefer", "prm", "segment", "link")),
)
"""Words behind which another verb is missing: the answer is a list of them."""
ABOUT = """The InternVL series, end to end. `tessera VERB --help` lists the options of a verb, `tessera
--version` prints the version, `tessera --tyro-print-completion bash` (or zsh) what completes in a shell."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run `tessera` with the given arguments (default: the command line) and return the exit code.

    0 done, 1 the verb found problems or its work was lost, 2 a wrong argument or input (one line on stderr),
    130 interrupted or stopped.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    make_safe()
    if words[:1] == ["--version"]:
        print(f"tessera {__version__}")
        return 0
    try:
        with mistakes_as_errors():
            command = parse([*words, "--help"] if words in GROUPS else words)
        for place, folder in command.targets().items():
            require_writable(place, folder=folder)
        code = command.run()
        sys.stdout.flush()  # here, where a pipe that was closed is no failure
        return code
    except SystemExit as done:  # tyro's way: 0 behind help, 2 behind a mistake
        return 2 if done.code else 0
    except MISTAKES as error:
        print(f"{called(words)}: {visible(in_one_line(error))}", file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader (head, less) has seen enough
        close_early()
        return 0
    except STOPPED as error:
        print(f"{called(words)}: {visible(str(error))}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in FAULTS:
            raise
        print(f"{called(words)}: {visible(disk_fault(error))}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return 130


def called(words: Sequence[str]) -> str:
    """The program and the verbs that the words begin with, such as `tessera data check`."""
    path = ["tessera"]
    verbs: object = VERBS
    for word in words:
        if not isinstance(verbs, Mapping) or word not in verbs:
            break
        path.append(word)
        verbs = verbs[word].target
    return " ".join(path)


def parse(words: list[str]) -> Command:
    """The command that the words ask for. ValueError for an unknown verb; tyro's exit for other mistakes."""
    words, fields = set_aside(words)
    commands = subcommands(VERBS, words)
    options: dict[str, Any] = {"args": words, "prog": "tessera", "description": ABOUT}
    options["config"] = (tyro.conf.FlagCreatePairsOff,)
    given, rest = tyro.cli(commands, return_unknown_args=True, **options)
    # Words may stand on both sides of an option, where tyro takes one run of them; all behind "--" are words.
    literal = words[words.index("--") :] if "--" in words else []
    if isinstance(given, FieldsCommand):
        given = replace(given, fields=tuple(fields))
    if isinstance(given, WordsCommand) and all(w in literal or not w.startswith("-") for w in rest):
        return replace(given, words=(*given.words, *rest))
    command: Command = tyro.cli(commands, **options) if rest else given
    return command


def set_aside(words: list[str]) -> tuple[list[str], list[str]]:
    """The words without options that are fields of a verb, or have a dot in their names (and their values),
    and those; for verbs that know the settings behind them only while they run.
    """
    known = VERBS[words[0]].fields if words and words[0] in VERBS else None
    if known is None:
        return words, []
    kept: list[str] = []
    fields: list[str] = []
    into = kept
    for word in words:
        if word.startswith("--"):
            name = word[2:].partition("=")[0].replace("-", "_")
            into = fields if "." in name or name in known else kept
        into.append(word)
    return kept, fields


def subcommands(verbs: Mapping[str, Verb], words: Sequence[str]) -> Any:
    """The union that tyro makes subcommands of; only the branch that the words name leads anywhere.

    Raises ValueError with the nearest name for a verb that is not there.
    """
    called = words[0] if words else ""
    if called not in verbs and called and not called.startswith("-"):
        near = get_close_matches(called, verbs, 1, cutoff=0.7)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ValueError(f"{shown(called)} is unknown; {hint}choose one of {', '.join(verbs)}")
    completing = called.startswith("--tyro-")
    branches = []
    for name, verb in verbs.items():
        target: Any = _NotCalled
        about: dict[str, Any] = {"description": verb.line}
        if completing or name == called:
            target = _resolved(verb.target, words if completing else words[1:])
        if isinstance(target, Command):
            about["default"], target = target, type(target)
        if isinstance(target, type) and issubclass(target, Command):
            about["description"] = target.__doc__
        branches.append(Annotated[Any, tyro.conf.subcommand(name, constructor=target, **about)])
    return Union[tuple(branches)]  # noqa: UP007


@dataclass(frozen=True)
class _NotCalled:
    """Stands for a verb that is listed, and not imported."""


def _resolved(target: Any, behind: Sequence[str]) -> Any:
    """What a verb leads to: a command's class, one that holds the defaults, or a union of further verbs."""
    if isinstance(target, str):
        module, _, attribute = target.partition(":")
        target = getattr(import_module(f"tessera.cli.{module}"), attribute)
    if isinstance(target, Mapping):
        return subcommands(target, behind)
    return target if isinstance(target, type) else target(behind)


if __name__ == "__main__":
    sys.exit(main())
