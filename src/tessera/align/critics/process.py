"""A process reward model as a critic: how likely each step of a response is right so far."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import torch

from tessera.align.critics.critic import Judged
from tessera.align.critics.settings import HARD_SCORES, CriticSettings
from tessera.align.critics.streams import TalkScorer, TalkScores, TooLongTalk
from tessera.align.critics.written import TalkWriter
from tessera.align.process.steps import SEPARATOR, split_steps
from tessera.align.process.talk import RIGHT, SYSTEM, WRONG, judging_talk
from tessera.chat.message import Conversation, Part, Text
from tessera.chat.render import MediaSpan
from tessera.engine.chat_model import ChatModel
from tessera.engine.opening import open_model


@dataclass(frozen=True)
class _Question:
    """A question as parts, its media in tokens, and their features [N, M, D] (None without)."""

    parts: tuple[Part, ...]
    spans: list[MediaSpan]
    features: torch.Tensor | None


@dataclass(frozen=True, eq=False)
class ProcessCritic:
    """Rates responses with one model. Implements `Critic`.

    ValueError where the model's tokenizer has no single token for + or -.
    """

    model: ChatModel
    settings: CriticSettings = CriticSettings()
    writer: TalkWriter = field(init=False, repr=False)
    scorer: TalkScorer = field(init=False, repr=False)

    def __post_init__(self) -> None:
        given = self.settings.system
        writer = TalkWriter.of(self.model.encoder, system_of(self.model) if given is None else given)
        object.__setattr__(self, "writer", writer)
        scorer = TalkScorer(self.model, writer.signs, self.settings.most_tokens)
        object.__setattr__(self, "scorer", scorer)

    @classmethod
    def open(
        cls, name: str | Path | None = None, loading: Mapping[str, Any] | None = None, **settings: Any
    ) -> Self:
        """A critic by the model's name or folder. loading: arguments of `tessera.load`; settings: fields of
        `CriticSettings`, such as aggregate="min"."""
        return cls(open_model(name, **(loading or {})), CriticSettings(**settings))

    def score(self, conversation: Conversation, responses: Sequence[str]) -> list[Judged]:
        """How good each response is; its steps are the pieces between blank lines.

        Earlier turns of the conversation are part of the question. Pictures go through the ViT once, and what
        talks begin with goes through the decoder once. An empty response has no steps and the lowest score.
        ValueError naming a response that is too long for the model.
        """
        return self.rate(conversation, [self.steps(response) for response in responses])

    def steps(self, response: str) -> tuple[str, ...]:
        """A response as the steps that are rated; none for an empty one."""
        if self.settings.mode == "orm":
            return (response,) if response.strip() else ()
        return tuple(step.text for step in split_steps(response, self.settings.max_steps))

    def rate(self, conversation: Conversation, solutions: Sequence[Sequence[str]]) -> list[Judged]:
        """The same for solutions that are cut into steps already."""
        question_parts(conversation)
        rated = [number for number, steps in enumerate(solutions) if steps]
        judged = [Judged(self.settings.lowest)] * len(solutions)
        if not rated:
            return judged
        question = self._question(conversation)
        judge = self._say if self.settings.mode == "hard" else self._weigh
        try:
            found = judge(question, [solutions[number] for number in rated])
        except TooLongTalk as error:
            raise ValueError(f"responses[{rated[error.number]}]: {error.detail}") from error
        for number, scores in zip(rated, found, strict=True):
            judged[number] = Judged(self.settings.overall(scores), tuple(scores))
        return judged

    def _weigh(self, question: _Question, solutions: Sequence[Sequence[str]]) -> list[list[float]]:
        """How likely + is at each step when all steps before it are taken for right."""
        found = self._scores(question, [(steps, [RIGHT] * len(steps)) for steps in solutions])
        return [each.signs.softmax(-1)[:, 0].tolist() for each in found]

    def _say(self, question: _Question, solutions: Sequence[Sequence[str]]) -> list[list[float]]:
        """What greedy decoding says at each step, with its own verdicts before it.

        One forward pass guesses + everywhere and is right up to the first -; the next one goes on from there.
        """
        said: list[list[str]] = [[] for _ in solutions]
        open_ones = list(range(len(solutions)))
        while open_ones:
            guesses = [
                (solutions[n], [*said[n], *[RIGHT] * (len(solutions[n]) - len(said[n]))]) for n in open_ones
            ]
            for number, scores in zip(open_ones, self._scores(question, guesses), strict=True):
                said[number] += self._verdicts(scores, len(said[number]))
            open_ones = [
                n for n in open_ones if len(said[n]) < len(solutions[n]) and not self._ended(said[n])
            ]
        right, wrong = HARD_SCORES
        return [[right if verdict == RIGHT else wrong for verdict in each] for each in said]

    def _ended(self, said: Sequence[str]) -> bool:
        return self.settings.early_stop and said[-1] == WRONG

    def _verdicts(self, scores: TalkScores, known: int) -> list[str]:
        """Verdicts behind the known ones up to the first -; any answer but a lone + is one, as published."""
        stops = self.model.encoder.stop_ids
        found: list[str] = []
        for sign, behind in scores.best[known:].tolist():
            right = sign == self.writer.signs[0] and behind in stops
            found.append(RIGHT if right else WRONG)
            if not right:
                break
        return found

    def _question(self, conversation: Conversation) -> _Question:
        parts, encoder = question_parts(conversation), self.model.encoder
        talk = judging_talk(parts, ("",), (), self.writer.system)
        tiles = torch.from_numpy(encoder.encode(talk, generate=True).tiles)
        with torch.inference_mode():
            features = self.model.loaded.model.see(tiles) if len(tiles) else None
        return _Question(parts, encoder.spans(talk), features)

    def _scores(
        self, question: _Question, talks: Sequence[tuple[Sequence[str], Sequence[str]]]
    ) -> list[TalkScores]:
        """Scores of talks about one question, each of steps and verdicts."""
        written = [
            self.writer.write(question.parts, steps, verdicts, question.spans) for steps, verdicts in talks
        ]
        return self.scorer.scores(written, question.features)


def system_of(model: ChatModel) -> str:
    """What the model was told in training: the text of its config, unless that is a chat model's own or
    none; then the published prompt."""
    said = model.family.system_text
    return said if said and said.strip() and said != model.encoder.template.system_text else SYSTEM


def question_parts(conversation: Conversation) -> tuple[Part, ...]:
    """What is asked, with its media; the turns before it in front, blank lines between them.

    ValueError for a conversation that doesn't end with the user.
    """
    turns = [message for message in conversation.messages if message.role != "system"]
    if not turns or turns[-1].role != "user":
        raise ValueError("conversation: the last turn is not the user's; leave the answer to be rated out")
    parts = [part for turn in turns for part in (*turn.parts, Text(SEPARATOR))]
    return tuple(parts[:-1])
