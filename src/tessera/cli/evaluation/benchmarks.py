"""`tessera evaluate MODEL --on BENCHMARK ...`: asked, judged and told, one benchmark after another."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tessera
from tessera.align.prompts import write_prompt
from tessera.align.test_time.settings import USUAL_TOKENS
from tessera.chat.openai import read_messages
from tessera.cli.evaluation.asked_model import AskedModel
from tessera.cli.evaluation.beside import tell_gain, tell_seen
from tessera.cli.evaluation.command import PRESET_COT
from tessera.cli.evaluation.judging import RunStopped, judge_outcome
from tessera.cli.evaluation.running_score import RunningScore
from tessera.cli.evaluation.shards import OthersAtWork, Shard
from tessera.cli.evaluation.tables import results_table
from tessera.cli.preference.sample import STOPPED
from tessera.cli.terminal.tables import Terminal
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.benchmarks.catalogue import expand_names, find_benchmark
from tessera.evaluation.predictions.given import GivenReplies, read_predictions
from tessera.evaluation.rows.open import Items
from tessera.evaluation.running.asking import GREEDY, BenchmarkAsking
from tessera.evaluation.running.grading import BenchmarkGrading, Replies
from tessera.evaluation.running.outcome import RunOutcome, leave, settle
from tessera.evaluation.running.page import export_run
from tessera.evaluation.running.plan import BenchmarkPlan, DataMissing, data_root
from tessera.runtime.progress import progress_bars

if TYPE_CHECKING:
    from tessera.cli.evaluation.command import EvaluateCommand


ROTATED = "circular"
"""Aggregate of benchmarks whose data hold every rotation of the options."""


@dataclass(frozen=True)
class BenchmarkEvaluation:
    """What `tessera evaluate --on` does."""

    command: EvaluateCommand

    def run(self) -> int:
        """The exit code: 1 where a question has no answer."""
        _ = self._asked
        plans = self._plans()
        outcomes: list[RunOutcome] = []
        waiting: list[str] = []
        for plan in plans:
            try:
                outcomes += self._outcomes(plan)
            except OthersAtWork as others:
                waiting.append(f"{plan.benchmark.name}: {others}")
            except RunStopped:
                return STOPPED
        if waiting:
            self.command.tell(lambda: {"waiting": waiting}, lambda: print("\n".join(waiting)))
            return 0
        self.command.tell(lambda: [values(each) for each in outcomes], lambda: self._show(outcomes))
        return 1 if any(outcome.faults for outcome in outcomes) else 0

    @cached_property
    def folder(self) -> Path:
        """Of the whole run."""
        return self.command.to or Path("runs/evaluation") / Path(self._asked.name).name

    @cached_property
    def _asked(self) -> AskedModel:
        return AskedModel.of(self.command)

    @property
    def _version(self) -> str | None:
        """Of a prompt that asks for reasoning by its name."""
        return None if self.command.cot == PRESET_COT else self.command.cot

    def _longest(self, plan: BenchmarkPlan) -> int:
        """Tokens of an answer as the preset has them; reasoning needs more than an answer in a word."""
        preset = plan.rules.new_tokens
        return preset if self.command.cot is None else max(preset, USUAL_TOKENS)

    def _plans(self) -> list[BenchmarkPlan]:
        """Of all that are named; of a suite those whose data are here, the others are told."""
        plans, missing = [], []
        for name in expand_names(self.command.on):
            try:
                plans.append(self._plan(name))
            except DataMissing as error:
                if name in self.command.on:
                    raise
                missing.append((name, error))
        if not plans:
            raise missing[0][1]
        if missing:
            names = ", ".join(name for name, _ in missing)
            print(f"without data, left out: {names}", file=sys.stderr)
        return plans

    def _plan(self, name: str) -> BenchmarkPlan:
        given, benchmark = self.command, find_benchmark(name)
        root, folder = data_root(given.data), self.folder / benchmark.name
        plan = BenchmarkPlan.of(benchmark, given.preset, root, folder, given.form)
        if given.count is not None and given.count < len(plan.items):
            plan = plan.only(range(given.count))
        if given.export and not isinstance(plan.items, Items):
            raise ValueError("--export: other harnesses read whole benchmarks; leave --count out")
        if "server" in given.export and benchmark.export is None:
            raise ValueError(f"--export server: {benchmark.name} has no server that scores it; leave it out")
        self._asking(plan, False).prompt(plan.items[0])  # a prompt that fails does so here
        plan.rehearse()
        return replace(plan, all_orders=given.order and plan.rules.aggregate["name"] != ROTATED)

    def _outcomes(self, plan: BenchmarkPlan) -> list[RunOutcome]:
        """Of a benchmark, and of it without pictures."""
        outcome = self._evaluate(plan, False)
        blind = [self._evaluate(plan, True)] if self.command.blind else []
        for other in blind:
            tell_gain(outcome, other)
        if self.command.seen_in is not None:
            with progress_bars() as bars:
                tell_seen(outcome, self.command.seen_in, 0, bars)
        if self.command.order and not plan.all_orders:
            outcome.notes.append("--order asked nothing more: the benchmark holds rotations itself")
        for each in (outcome, *blind):
            self._leave(each)
        return [outcome, *blind]

    def _asking(self, plan: BenchmarkPlan, blind: bool) -> BenchmarkAsking:
        given, sampled, named = self.command, self.command.asking, self._version
        drawn = {name: getattr(sampled, name) for name in ("temperature", "top_k", "top_p", "seed")}
        weighed = "logprob" in (given.selecting.vote, given.selecting.ties)
        return BenchmarkAsking(
            plan.rules,
            plan.folder / "pictures",
            blind=blind,
            reasoning=given.cot == PRESET_COT,
            wording=None if named is None else partial(write_prompt, version=named, pictures=0),
            candidates=given.selecting.number,
            sampling=Sampling(**drawn) if given.selecting.number > 1 else GREEDY,
            greedy_first=sampled.greedy_first,
            new_tokens=sampled.new_tokens or self._asked.room(self._longest(plan)),
            tiles=self._asked.ours,
            wanted={"logprobs": True} if weighed else {},
        )

    def _evaluate(self, plan: BenchmarkPlan, blind: bool) -> RunOutcome:
        """Ask and judge. RunStopped when stopped, OthersAtWork where other shards are not done."""
        asking = self._asking(plan, blind)
        folder = plan.folder / "blind" if blind else plan.folder
        folder.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            replies = self._replies(plan, folder, asking, stack)
            bars = stack.enter_context(progress_bars())
            outcome = settle(plan, folder, self._grading(plan, asking), replies, bars)
        return judge_outcome(self.command, outcome)

    def _replies(
        self, plan: BenchmarkPlan, folder: Path, asking: BenchmarkAsking, stack: ExitStack
    ) -> Replies:
        """Those of a file that was given, or what is answered now."""
        given = self.command
        if given.predictions is not None:
            return GivenReplies(read_predictions(given.predictions, plan.items))
        shard = Shard.read(given.shard)
        requests = _requests(shard, plan, asking)
        watch = RunningScore(plan, self._grading(plan, asking)) if asking.candidates == 1 else None
        file = shard.file(folder)
        if given.all_answered(file, requests, Path("/"), self._longest(plan), watch) is None:
            raise RunStopped
        return shard.replies(folder, stack)

    def _grading(self, plan: BenchmarkPlan, asking: BenchmarkAsking) -> BenchmarkGrading:
        given = self.command
        scores = self.folder / f"{plan.benchmark.name}.scores"
        critic = given.selecting.remembering(scores, given.loading.device)

        def rate(messages: Sequence[dict[str, Any]], responses: Sequence[str]) -> Any:
            assert critic is not None
            return critic.score(read_messages(messages), responses)

        return BenchmarkGrading(
            plan.scorer,
            asking,
            reasoned=given.cot is not None,
            version=self._version,
            rule=given.selecting.rule,
            rate=None if critic is None else rate,
            keep_thought=given.keep_thought,
            stripped=plan.rules.stripped,
            describe=self._asked.describe(),
        )

    def _leave(self, outcome: RunOutcome) -> None:
        """Figures, the page, and predictions in other forms."""
        plan = outcome.plan
        leave(outcome, self._settings(outcome))
        if self.command.export and isinstance(plan.items, Items):
            file = Path(plan.benchmark.data[plan.form].file[0])
            dataset = file.stem if file.suffix == ".tsv" else plan.benchmark.name  # a table is called as it
            files = export_run(
                outcome.folder, plan.items, dataset, self.command.export, plan.benchmark.export
            )
            outcome.notes += [f"written for others: {file}" for file in files]

    def _settings(self, outcome: RunOutcome) -> dict[str, Any]:
        """What figures depend on beside the benchmark."""
        given, who, chosen = self.command, self._asked, self.command.selecting
        told: dict[str, Any] = {"model": who.name, "tessera": tessera.__version__, "blind": outcome.blind}
        told |= {"cot": given.cot, "count": given.count, "tiles_told": who.ours}
        told["keep_thought"] = given.keep_thought
        told["new_tokens"] = self._asking(outcome.plan, outcome.blind).new_tokens
        if given.predictions is not None:
            told["predictions"] = str(given.predictions)
        several = {"candidates": chosen.number, "rule": vars(chosen.rule), "critic": chosen.critic}
        return told | (several | given.asking.model_dump() if chosen.number > 1 else {})

    def _show(self, outcomes: Sequence[RunOutcome]) -> None:
        Terminal().print(results_table(outcomes))
        for outcome in outcomes:
            for told in outcome.words():
                print(f"{outcome.plan.benchmark.name}: {told}")
        print(f"predictions, figures and pages: {self.folder}")


def _requests(shard: Shard, plan: BenchmarkPlan, asking: BenchmarkAsking) -> Iterator[dict[str, Any]]:
    """All of a shard; pictures that stand in the data are written to files on the way."""
    total = len(range(shard.number - 1, len(plan.asked), shard.count))
    with progress_bars() as bars:
        for number, item in enumerate(shard.of(plan.asked), 1):
            yield from asking.requests(item)
            bars(f"{plan.benchmark.name}: questions read", number, total)


def values(outcome: RunOutcome) -> dict[str, Any]:
    """Plain values for --json."""
    intervals = outcome.intervals
    return {
        "benchmark": outcome.plan.benchmark.name,
        "blind": outcome.blind,
        "preset": outcome.plan.rules.preset,
        "figures": dict(outcome.figures),
        "intervals": {} if intervals is None else {name: list(pair) for name, pair in intervals.items()},
        "robustness": {name: dict(found) for name, found in outcome.robustness.items()},
        "answered": len(outcome.graded),
        "questions": len(outcome.plan.items),
        "notes": outcome.words(),
        "folder": outcome.folder,
    }
