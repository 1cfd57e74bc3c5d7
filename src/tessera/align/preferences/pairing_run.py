"""A file of scored responses to a folder: pairs in MMPR's form, a page of them, and what was left out."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from pydantic import Field

from tessera.align.preferences.answer_fix import fix_answer
from tessera.align.preferences.grouping import Grouping
from tessera.align.preferences.lines import RefusedLines, open_lines, readable
from tessera.align.preferences.pair_page import pair_page, picture_below
from tessera.align.preferences.pairs import MISSING, Pair, RefusedPair, Rule, build_pairs
from tessera.align.preferences.verdicts import KINDS, ScoredResponse, read_scored
from tessera.pages.page import write_page
from tessera.records.readers.json_file import JsonFile
from tessera.records.writing import json_line, mmpr_record, write_meta
from tessera.runtime.atomic import atomic_write
from tessera.runtime.config import Config
from tessera.runtime.disk import disk_faults
from tessera.runtime.progress import Progress, silent
from tessera.runtime.seeds import derive_seed
from tessera.runtime.shown import shown

MANY_LINES = 500_000
MOST_OF_MANY = 3
"""Pairs of a question, at most, where the file has more lines than `MANY_LINES`."""
RULES: tuple[Rule, ...] = ("correctness", "format")


class PairSettings(Config):
    """How responses are paired."""

    most: int = Field(15, ge=1)
    """Pairs of one question and rule, at most."""
    seed: int = 0
    """Which pairs are drawn where there are more."""
    root: Path | None = None
    """Where the pictures' paths start: without its pictures a question is left out; the page shows them."""
    page: int = Field(20, ge=0)
    """Pairs on the page; 0 writes none."""
    answer_fix: bool = False
    """Write the answer of right responses as the data set does: "B. cat" becomes "B" (prompts en and zh)."""
    as_published: bool = False
    """Also refuse format negatives where the right answer is part of the word "None"."""


@dataclass
class PairReport:
    """Counts. pairs: by rule; questions: with responses, and how many of them gave pairs; left_out: responses
    and pairs by reason; refused: lines by field; first: some of them in words; files: what was written."""

    lines: int
    most: int
    kinds: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(KINDS, 0)))
    pairs: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(RULES, 0)))
    questions: int = 0
    paired: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    first: list[str] = field(default_factory=list)
    files: list[Path] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return dict(vars(self))


def pair_record(pair: Pair) -> dict[str, Any]:
    """A pair in MMPR's form, with the reasons of both sides and the lines that they come from."""
    chosen, rejected = pair.chosen.response, pair.rejected.response
    image = {"image": chosen.record["image"]} if chosen.pictures else {}
    texts = mmpr_record(chosen.prompt, chosen.text, rejected.text)
    metas = {
        f"{side}_meta": response.record["meta"]
        for side, response in (("chosen", chosen), ("rejected", rejected))
        if "meta" in response.record
    }
    why = {"chosen": pair.chosen.verdict.why, "rejected": pair.rejected.verdict.why}
    lines = {"chosen": chosen.line, "rejected": rejected.line}
    return {
        **image,
        **texts,
        "answer_gt": chosen.target,
        **metas,
        "rule": pair.rule,
        "why": why,
        "lines": lines,
    }


def pair_file(source: Path, folder: Path, settings: PairSettings, progress: Progress = silent) -> PairReport:
    """Pair the scored responses of a file.

    The folder gets NAME_pairs_vqa_correctness_rules.jsonl and NAME_pairs_vqa_format_rules.jsonl, meta.json
    that names them, pairs.html, left_out.jsonl (responses and pairs not taken, by line) and refused.jsonl
    (lines that cannot be read). Files of an earlier run are replaced. ValueError for an empty file.
    """
    if settings.root is not None and not settings.root.is_dir():
        raise ValueError(
            f"root {shown(settings.root)} is no folder; name the one that image paths start from"
        )
    lines = open_lines(source)
    most = min(settings.most, MOST_OF_MANY) if len(lines) > MANY_LINES else settings.most
    report = PairReport(len(lines), most)
    files = {rule: folder / f"{source.stem}_pairs_vqa_{rule}_rules.jsonl" for rule in RULES}
    targets = (*files.values(), folder / "left_out.jsonl", folder / "refused.jsonl")
    if source.resolve() in {target.resolve() for target in targets}:
        raise ValueError(f"{shown(folder)}: {shown(source)} would be overwritten; name another folder")
    with disk_faults(folder):
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as open_files:
            *pairs, left_out, refused = [open_files.enter_context(atomic_write(file)) for file in targets]
            run = _Run(lines, settings, report, dict(zip(RULES, pairs, strict=True)), left_out)
            run.execute(refused, progress)
        report.files += [*targets, _write_meta(folder, files, report, settings)]
        if settings.page:
            page = pair_page(source.name, run.seen, settings.root)
            report.files.append(write_page(folder / "pairs.html", page))
    return report


def _write_meta(folder: Path, files: dict[Rule, Path], report: PairReport, settings: PairSettings) -> Path:
    """The meta file that names the pairs; its root is "" where none was given."""
    fixed = {
        "root": str(settings.root.resolve()) if settings.root else "",
        "data_augment": False,
        "repeat_time": 1,
    }
    entries = {
        file.stem: {**fixed, "annotation": file.name, "length": report.pairs[rule]}
        for rule, file in files.items()
        if report.pairs[rule]
    }
    write_meta(folder / "meta.json", entries)
    return folder / "meta.json"


@dataclass
class _Run:
    """One run over the groups. seen: pairs drawn for the page."""

    lines: JsonFile
    settings: PairSettings
    report: PairReport
    streams: dict[Rule, IO[bytes]]
    left_out: IO[bytes]
    seen: list[Pair] = field(default_factory=list)

    def execute(self, refused: IO[bytes], progress: Progress) -> None:
        """Both passes: lines to groups, groups to pairs."""
        bad = RefusedLines(refused)
        grouping = Grouping()
        for index, scored in readable(self.lines, read_scored, bad, progress, "scored lines"):
            grouping.add(index, scored.response.key)
            self.report.kinds[scored.verdict.kind] += 1
        self.report.refused, self.report.first = bad.reasons, bad.first
        done = 0
        draw = random.Random(derive_seed("pairs on the page", self.settings.seed))
        for group in grouping.groups():
            for question in self._questions(group.tolist()):
                self._pair(question, draw)
            done += len(group)
            progress("pairs", done, len(self.lines))

    def _questions(self, indices: list[int]) -> Iterator[list[ScoredResponse]]:
        """The responses that stand there, by their whole keys."""
        found: dict[object, list[ScoredResponse]] = {}
        file = Path(self.lines.file)
        for index in indices:
            scored = read_scored(self.lines.record(index), file, self.lines.line(index))
            found.setdefault(scored.response.key, []).append(scored)
        yield from found.values()

    def _pair(self, question: list[ScoredResponse], draw: random.Random) -> None:
        self.report.questions += 1
        if self.settings.answer_fix:
            question = [fix_answer(one) for one in question]
        first = question[0].response
        if missing := self._missing(first.pictures):
            self._refuse(RefusedPair(tuple(one.response.line for one in question), MISSING, missing))
            return
        rng = random.Random(derive_seed("pairs", self.settings.seed, first.line))
        pairs = build_pairs(question, self.report.most, rng, self._refuse, self.settings.as_published)
        self.report.paired += bool(pairs)
        for pair in pairs:
            self.report.pairs[pair.rule] += 1
            self.streams[pair.rule].write(json_line(pair_record(pair)))
            self._show(pair, draw)

    def _missing(self, pictures: tuple[str, ...]) -> str | None:
        root = self.settings.root
        return next((path for path in pictures if root and not picture_below(root, path)), None)

    def _refuse(self, refused: RefusedPair) -> None:
        self.report.left_out[refused.why] += 1
        why = ": ".join(filter(None, (refused.why, refused.detail)))
        self.left_out.write(json_line({"lines": refused.lines, "why": why}))

    def _show(self, pair: Pair, draw: random.Random) -> None:
        """Keep so many pairs for the page, each as likely as any other."""
        count = self.report.pairs.total()
        if len(self.seen) < self.settings.page:
            self.seen.append(pair)
        elif (place := draw.randrange(count)) < self.settings.page:
            self.seen[place] = pair
