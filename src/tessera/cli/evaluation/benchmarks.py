"""`tessera evaluate MODEL --on BENCHMARK ...`: asked, judged and told, one benchmark after another."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tessera
from tessera.align.prompts import write_prompt
from tessera.chat.openai import read_messages
from tessera.cli.evaluation.asked_model import AskedModel
from tessera.cli.evaluation.command import PRESET_COT
from tessera.cli.evaluation.shards import Shard
from tessera.cli.evaluation.tables import results_table
from tessera.cli.preference.sample import STOPPED
from tessera.cli.terminal.tables import Terminal
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.benchmarks.catalogue import expand_names, find_benchmark
from tessera.evaluation.running.asking import BenchmarkAsking
from tessera.evaluation.running.grading import BenchmarkGrading
from tessera.evaluation.running.outcome import RunOutcome, settle
from tessera.evaluation.running.plan import BenchmarkPlan, data_root
from tessera.runtime.progress import progress_bars

if TYPE_CHECKING:
    from tessera.cli.evaluation.command import EvaluateCommand


@dataclass(frozen=True)
class BenchmarkEvaluation:
    """What `tessera evaluate --on` does."""

    command: EvaluateCommand

    def run(self) -> int:
        """The exit code: 1 where a question has no answer."""
        _ = self._asked
        plans = [self._plan(name) for name in expand_names(self.command.on)]
        outcomes = []
        for plan in plans:
            for blind in (False, True) if self.command.blind else (False,):
                outcome = self._evaluate(plan, blind)
                if outcome is None:
                    return STOPPED
                outcomes.append(outcome)
        self.command.tell(lambda: [self._values(each) for each in outcomes], lambda: self._show(outcomes))
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

    def _plan(self, name: str) -> BenchmarkPlan:
        given, benchmark = self.command, find_benchmark(name)
        root, folder = data_root(given.data), self.folder / benchmark.name
        plan = BenchmarkPlan.of(benchmark, given.preset, root, folder, given.form)
        if given.count is not None and given.count < len(plan.items):
            plan = plan.only(range(given.count))
        self._asking(plan, False).prompt(plan.items[0])  # a prompt that fails does so here
        return plan

    def _asking(self, plan: BenchmarkPlan, blind: bool) -> BenchmarkAsking:
        given, sampled = self.command, self.command.asking
        named = self._version
        sampling = Sampling(
            temperature=sampled.temperature, top_k=sampled.top_k, top_p=sampled.top_p, seed=sampled.seed
        )
        greedy = Sampling(temperature=0.0)
        weighed = "logprob" in (given.selecting.vote, given.selecting.ties)
        return BenchmarkAsking(
            plan.rules,
            plan.folder / "pictures",
            blind=blind,
            reasoning=given.cot == PRESET_COT,
            wording=None if named is None else partial(write_prompt, version=named, pictures=0),
            candidates=given.selecting.number,
            sampling=sampling if given.selecting.number > 1 else greedy,
            greedy_first=sampled.greedy_first,
            new_tokens=sampled.new_tokens or self._asked.room(plan.rules.new_tokens),
            tiles=self._asked.ours,
            wanted={"logprobs": True} if weighed else {},
        )

    def _evaluate(self, plan: BenchmarkPlan, blind: bool) -> RunOutcome | None:
        """Ask and judge; None where the run was stopped, or other shards are still at work."""
        given, asking = self.command, self._asking(plan, blind)
        folder = plan.folder / "blind" if blind else plan.folder
        folder.mkdir(parents=True, exist_ok=True)
        shard = Shard.read(given.shard)
        requests = (request for item in shard.of(plan.items) for request in asking.requests(item))
        if given.all_answered(shard.file(folder), requests, Path("/"), plan.rules.new_tokens) is None:
            return None
        with ExitStack() as stack:
            replies = shard.replies(folder, stack)
            if replies is None:
                return None
            grading = self._grading(plan, asking)
            bars = stack.enter_context(progress_bars())
            return settle(plan, folder, grading, replies, self._settings(blind, asking.new_tokens), bars)

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
            describe=self._asked.describe(),
        )

    def _settings(self, blind: bool, tokens: int | None) -> dict[str, Any]:
        """What figures depend on beside the benchmark."""
        given = self.command
        chosen = given.selecting
        several = {"candidates": chosen.number, "rule": vars(chosen.rule), "critic": chosen.critic}
        told: dict[str, Any] = {"model": self._asked.name, "tessera": tessera.__version__, "blind": blind}
        told |= {
            "cot": given.cot,
            "count": given.count,
            "new_tokens": tokens,
            "tiles_told": self._asked.ours,
        }
        return told | (several | given.asking.model_dump() if chosen.number > 1 else {})

    def _values(self, outcome: RunOutcome) -> dict[str, Any]:
        intervals = outcome.intervals
        return {
            "benchmark": outcome.plan.benchmark.name,
            "preset": outcome.plan.rules.preset,
            "figures": dict(outcome.figures),
            "intervals": {} if intervals is None else {name: list(pair) for name, pair in intervals.items()},
            "answered": len(outcome.graded),
            "questions": len(outcome.plan.items),
            "notes": outcome.words(),
            "folder": outcome.folder,
        }

    def _show(self, outcomes: Sequence[RunOutcome]) -> None:
        Terminal().print(results_table(outcomes))
        for outcome in outcomes:
            for told in outcome.words():
                print(f"{outcome.plan.benchmark.name}: {told}")
        print(f"predictions and figures: {self.folder}")
