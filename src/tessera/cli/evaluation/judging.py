"""A judge's part in a run: what rules can't decide is asked of a server, and every reply is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tessera.chat.batch.lines import BatchReplies, batch_request, name_of
from tessera.cli.evaluation.asked_model import AskedModel
from tessera.evaluation.judging.judge import JudgeQuestion, JudgeRules, judge_rules, questions, verdicts
from tessera.evaluation.running.outcome import RunOutcome, judged_anew
from tessera.scoring.judged.scorers import UNJUDGED

if TYPE_CHECKING:
    from tessera.cli.evaluation.command import EvaluateCommand


BY_KIND = {"choice": "mcq", "yes_no": "yes_no"}
"""What a judge is asked about benchmarks that name none, where there is one."""


class RunStopped(Exception):
    """The user stopped the run; it can go on."""


def judge_outcome(command: EvaluateCommand, outcome: RunOutcome) -> RunOutcome:
    """The outcome with a judge's verdicts, or with a note that there was none though the benchmark has one.

    RunStopped where the run was stopped; what the judge said is kept.
    """
    benchmark = outcome.plan.benchmark
    name = benchmark.judge or (BY_KIND.get(benchmark.kind) if command.judge else None)
    if name is None and command.judge is not None:
        outcome.notes.append(f"--judge was not asked: {benchmark.kind} answers are scored by rules")
    if name is None or not outcome.graded:
        return outcome
    rules = judge_rules(name)
    if command.judge is None:
        return _unjudged(outcome, rules)
    asking = replace(command, endpoint=command.judge, model=None, name=command.judge_model)
    who = AskedModel.of(asking).name
    replies = _replies(asking, rules, outcome)
    outcome.judge = {"rules": rules.name, "model": who, "endpoint": command.judge, "replies": len(replies)}
    outcome.notes.append(f"judge {who}: {len(replies)} of {len(outcome.graded)} answers")
    return judged_anew(outcome, verdicts(rules, outcome.graded, replies, outcome.plan.scorer, who))


def _unjudged(outcome: RunOutcome, rules: JudgeRules) -> RunOutcome:
    """Rules alone; no figures where they can say nothing."""
    usual = f" (published scores: {rules.published})" if rules.published else ""
    if all(one.verdict.why == UNJUDGED for one in outcome.graded):
        outcome.figures, outcome.intervals = {}, None
        outcome.notes.append(f"answers are kept, but only a judge can score them: --judge ADDRESS{usual}")
    else:
        outcome.notes.append(f"scored by rules alone; a judge{usual} decides what these leave open: --judge")
    return outcome


def _replies(asking: EvaluateCommand, rules: JudgeRules, outcome: RunOutcome) -> dict[str, str]:
    """Index → the reply that could be read, or the last one; round after round."""
    replies: dict[str, str] = {}
    for call in range(rules.calls):
        left = questions(rules, outcome.graded, replies, call)
        if not left:
            break
        file = outcome.folder / f"judge_{call + 1}"
        answers = asking.all_answered(file, _requests(left, call, outcome.media), Path("/"), rules.new_tokens)
        if answers is None:
            raise RunStopped
        with BatchReplies(answers) as found:
            said = {each.index: found[name_of(each.index, call)] for each in left}
        replies |= {index: reply.text for index, reply in said.items() if not reply.fault}
        outcome.faults += [
            f"judge, question {index}: {reply.fault}" for index, reply in said.items() if reply.fault
        ]
    return replies


def _requests(
    asked: Sequence[JudgeQuestion], call: int, media: Mapping[str, Sequence[str]]
) -> Iterator[dict[str, Any]]:
    for each in asked:
        files = media.get(each.index, ()) if each.pictures else ()
        shows = [{"type": "image_url", "image_url": {"url": file}} for file in files]
        system = [{"role": "system", "content": each.system}] if each.system else []
        content: Any = [*shows, {"type": "text", "text": each.text}] if shows else each.text
        messages = [*system, {"role": "user", "content": content}]
        chosen = {"temperature": each.temperature, "max_tokens": each.new_tokens, "seed": call}
        yield batch_request({"messages": messages, **chosen}, each.index, call)
