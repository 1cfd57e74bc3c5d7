"""Who answers while a model learns: the engine, on the model as it is; pictures are kept for the page."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import PIL.Image

from tessera.chat.encoder import Encoded
from tessera.chat.message import Audio, Conversation, Medium, Text, Video
from tessera.engine.completion import Completion
from tessera.engine.engine import Engine
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.tasks import heldout_items
from tessera.imaging.decode import decode_image
from tessera.models.vlm import VLM
from tessera.records.manifest import read_meta
from tessera.records.open import open_sources
from tessera.scoring.exact import BOX_KIND, grade
from tessera.scoring.extract import final_answer
from tessera.train.objective.learner import ChatLearner
from tessera.train.watch.evaluation import Answers, EvaluationSpec, Example

PICTURES = "examples"
"""Folder of the pictures, in that of the run."""
SHOWN = 6
"""Examples of a task."""
LARGEST = 256
"""Pixels of the longer side of a kept picture."""
RECORDS = "records"
"""What the questions of records count as."""


@dataclass(frozen=True)
class PosedQuestion:
    """A question with what is right. `kind` as `grade` takes it."""

    example: Example
    final: str
    kind: str
    prompt: Encoded


class Answerer:
    """Answers greedily; the questions are made and the pictures written when they are asked first."""

    def __init__(self, learner: ChatLearner, folder: Path) -> None:
        self._learner, self._folder = learner, folder
        self._asked: dict[EvaluationSpec, list[PosedQuestion]] = {}

    def __call__(self, spec: EvaluationSpec, model: VLM) -> Answers:
        """All answers of a model in evaluation mode. FloatingPointError for scores that are not finite."""
        if spec not in self._asked:
            self._asked[spec] = [*self._drawn(spec), *self._recorded(spec)]
        asked = self._asked[spec]
        engine = Engine(model, self._learner.tokenizer, self._learner.encoder.stop_ids)
        sampling = Sampling(max_new_tokens=spec.most_tokens)
        completions = engine.generate([each.prompt for each in asked], sampling)
        answered = [_graded(*pair) for pair in zip(asked, completions, strict=True)]
        by_task: dict[str, list[Example]] = {}
        for example in answered:
            by_task.setdefault(example.task, []).append(example)
        return Answers(
            right={task: sum(e.right for e in found) for task, found in by_task.items()},
            asked={task: len(found) for task, found in by_task.items()},
            examples=tuple(e for found in by_task.values() for e in found[:SHOWN]),
        )

    def _drawn(self, spec: EvaluationSpec) -> Iterator[PosedQuestion]:
        """Questions of playground tasks."""
        for task in spec.tasks:
            for number, item in enumerate(heldout_items(task, spec.count)):
                question = item.question
                yield self._question(
                    (task, number), item.prompt("picture"), question.answer, question.final, question.kind
                )

    def _recorded(self, spec: EvaluationSpec) -> Iterator[PosedQuestion]:
        """The first question of records, evenly spread over all sources."""
        sources = open_sources(read_meta(spec.records)) if spec.records else ()
        places = [(entry.source, index) for entry in sources for index in range(entry.source.size or 0)]
        step = max(1, len(places) // spec.count)
        for number, (source, index) in enumerate(places[::step][: spec.count]):
            talk = source.conversation(index)
            turn = next(n for n, message in enumerate(talk.messages) if message.role == "assistant")
            expected = _words(Conversation(talk.messages[turn : turn + 1]))
            kind = BOX_KIND if "<box>" in expected else ""
            final = expected if kind else final_answer(expected)
            prompt = Conversation(talk.messages[:turn])
            yield self._question((RECORDS, number), prompt, expected, final, kind)

    def _question(
        self, place: tuple[str, int], prompt: Conversation, expected: str, final: str, kind: str
    ) -> PosedQuestion:
        task, number = place
        picture = self._keep(prompt, f"{task}_{number}.png") if number < SHOWN else ""
        example = Example(task, _words(prompt), expected, "", False, picture)
        return PosedQuestion(example, final, kind, self._learner.encoder.encode(prompt, generate=True))

    def _keep(self, prompt: Conversation, name: str) -> str:
        """Write the first picture of a question, smaller; returns its file in the run's folder."""
        found = next((picture for part in prompt.media if (picture := _opened(part))), None)
        if found is None:
            return ""
        file = self._folder / PICTURES / name
        file.parent.mkdir(parents=True, exist_ok=True)
        found.thumbnail((LARGEST, LARGEST))
        found.save(file)
        return f"{PICTURES}/{name}"


def _graded(asked: PosedQuestion, completion: Completion) -> Example:
    if completion.fault:
        raise FloatingPointError(completion.fault)
    said = completion.text
    return replace(asked.example, answer=said, right=grade(asked.final, said, asked.kind))


def _words(talk: Conversation) -> str:
    """All that is written, media left out."""
    texts = [part.text for message in talk.messages for part in message.parts if isinstance(part, Text)]
    return "".join(texts).strip()


def _opened(part: Medium) -> PIL.Image.Image | None:
    """A picture, or the first frame of a clip of pictures."""
    if isinstance(part, Audio):
        return None
    source = part.source
    if isinstance(source, tuple):
        source = source[0]
    elif isinstance(part, Video):
        return None
    return decode_image(source, reading=part.reading)
