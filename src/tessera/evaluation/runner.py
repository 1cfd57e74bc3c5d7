"""Ask a model every held-out question, grade the answers, and add up."""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from tessera.chat.encoder import Encoder
from tessera.engine.answer import Answer
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.interval import wilson_interval
from tessera.evaluation.tasks import HeldoutItem, choose_tasks, heldout_items, most_tokens
from tessera.playground.questions.steps import ANNOUNCED
from tessera.playground.scene import SINGLE_PICTURE_TASKS
from tessera.playground.talk import Mode
from tessera.runtime.progress import Progress, silent
from tessera.scoring.exact import grade, grade_steps, steps_of
from tessera.scoring.reasoned.steps import grade_reasoned, judge_steps


@dataclass(frozen=True)
class Answered:
    """A question with the model's answer. `steps` says whether written steps are right, None without any."""

    item: HeldoutItem
    prediction: str
    right: bool
    steps: bool | None = None


@dataclass(frozen=True)
class Proportion:
    """So many right out of so many."""

    right: int
    total: int

    @property
    def accuracy(self) -> float:
        """Proportion of right answers, 0..1; 0 when nothing was asked."""
        return self.right / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """95 % Wilson interval of the accuracy."""
        return wilson_interval(self.right, self.total)


@dataclass(frozen=True)
class TaskResult:
    """One task: its share of right answers, in all and for each kind of question, and all answers."""

    share: Proportion
    kinds: Mapping[str, Proportion]
    steps: Proportion
    answers: Sequence[Answered]


@dataclass(frozen=True)
class TaskResults:
    """All tasks of one model in one mode, with what the run cost."""

    mode: Mode
    tasks: Mapping[str, TaskResult]
    prompt_tokens: int
    new_tokens: int
    seconds: float
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def tokens_per_second(self) -> float:
        """Prompt and answer tokens per second of generation."""
        return (self.prompt_tokens + self.new_tokens) / self.seconds if self.seconds else 0.0

    def mean(self, tasks: Sequence[str] | None = None) -> float:
        """Mean accuracy over tasks, each counting alike; by default over all tasks that were run."""
        chosen = [result for name, result in self.tasks.items() if tasks is None or name in tasks]
        return sum(result.share.accuracy for result in chosen) / len(chosen) if chosen else 0.0

    @property
    def single_picture_mean(self) -> float:
        """Mean accuracy over the tasks about one picture."""
        return self.mean(SINGLE_PICTURE_TASKS)

    def summary(self) -> dict[str, object]:
        """Every figure as plain JSON values, without the single answers."""
        return {
            "mode": self.mode,
            "mean": round(self.mean(), 4),
            "single_picture_mean": round(self.single_picture_mean, 4),
            "tasks": {name: _task_summary(result) for name, result in self.tasks.items()},
            "prompt_tokens": self.prompt_tokens,
            "new_tokens": self.new_tokens,
            "seconds": round(self.seconds, 2),
            "tokens_per_second": round(self.tokens_per_second, 1),
            "settings": dict(self.settings),
        }


def evaluate(
    engine: Engine,
    encoder: Encoder,
    tasks: Sequence[str] = (),
    count: int = 100,
    mode: Mode = "picture",
    *,
    level: int = 2,
    size: tuple[int, int] = (64, 64),
    sampling: Sampling | None = None,
    batch: int = 64,
    progress: Progress = silent,
) -> TaskResults:
    """Answer `count` held-out questions of each task (default: all tasks), greedily unless told otherwise.

    `mode` "blind" leaves the pictures away: the text-only baseline. `batch` questions are generated together.
    Raises ValueError for an unknown task, a count below 1, and scores that are not finite.
    """
    sampling = sampling or Sampling(max_new_tokens=most_tokens(choose_tasks(tasks)))
    items = [item for task in choose_tasks(tasks) for item in heldout_items(task, count, level, size)]
    answers: list[Answered] = []
    prompt_tokens, new_tokens, seconds = 0, 0, 0.0
    for start in range(0, len(items), batch):
        chunk = items[start : start + batch]
        prompts = [encoder.encode(item.prompt(mode), generate=True) for item in chunk]
        began = time.perf_counter()
        # A model that fails is no model that answers wrong.
        completions = [completion.sound() for completion in engine.generate(prompts, sampling)]
        seconds += time.perf_counter() - began
        answers += [grade_answer(item, Answer(c.text)) for item, c in zip(chunk, completions, strict=True)]
        prompt_tokens += sum(len(prompt.ids) for prompt in prompts)
        new_tokens += sum(len(completion.ids) for completion in completions)
        progress("questions", len(answers), len(items))
    settings = {"count": count, "level": level, "size": list(size), **encoder.describe()}
    settings |= {f"sampling.{name}": value for name, value in sampling.model_dump().items()}
    return TaskResults(mode, gather(answers), prompt_tokens, new_tokens, seconds, settings)


def grade_answer(item: HeldoutItem, prediction: str) -> Answered:
    """Grade the final value, and apart from it the written steps where the expected answer has some."""
    question = item.question
    if ANNOUNCED in question.answer:
        sound = all(judge_steps(question.answer, prediction))
        return Answered(item, prediction, grade_reasoned(question.final, prediction), sound)
    steps = grade_steps(question.answer, prediction) if steps_of(question.answer) else None
    return Answered(item, prediction, grade(question.final, prediction, question.kind), steps)


def gather(answers: Sequence[Answered]) -> dict[str, TaskResult]:
    """Answers by task in order of appearance, counted."""
    by_task: defaultdict[str, list[Answered]] = defaultdict(list)
    for answer in answers:
        by_task[answer.item.question.task].append(answer)
    return {task: _task_result(found) for task, found in by_task.items()}


def _task_result(answers: Sequence[Answered]) -> TaskResult:
    by_kind: defaultdict[str, list[bool]] = defaultdict(list)
    for answer in answers:
        by_kind[answer.item.question.kind].append(answer.right)
    steps = [answer.steps for answer in answers if answer.steps is not None]
    kinds = {kind: Proportion(sum(found), len(found)) for kind, found in by_kind.items()}
    share = Proportion(sum(answer.right for answer in answers), len(answers))
    return TaskResult(share, kinds, Proportion(sum(steps), len(steps)), answers)


def _task_summary(result: TaskResult) -> dict[str, object]:
    return {
        "accuracy": round(result.share.accuracy, 4),
        **asdict(result.share),
        "interval": [round(bound, 4) for bound in result.share.interval],
        "kinds": {kind: asdict(share) for kind, share in result.kinds.items()},
        **({"steps": asdict(result.steps)} if result.steps.total else {}),
    }
