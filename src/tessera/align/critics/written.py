"""Talks with a judge as ids, and the places in them where the verdicts stand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tessera.align.process.talk import RIGHT, WRONG, judging_talk
from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Part, say
from tessera.chat.render import MediaSpan

Ids = npt.NDArray[np.int32]


@dataclass(frozen=True)
class WrittenTalk:
    """ids int32 [T] of a talk that ends with the last verdict. places: of the verdicts in it, in order."""

    ids: Ids
    places: tuple[int, ...]


@dataclass(frozen=True)
class TalkWriter:
    """Writes talks for one model. signs: ids of + and -; system: what the judge is told first."""

    encoder: Encoder
    system: str
    signs: tuple[int, int]

    @classmethod
    def of(cls, encoder: Encoder, system: str) -> TalkWriter:
        """ValueError where the tokenizer writes + or - with several tokens."""
        return cls(encoder, system, (sign_id(encoder, RIGHT), sign_id(encoder, WRONG)))

    def write(
        self, question: Sequence[Part], steps: Sequence[str], verdicts: Sequence[str], spans: list[MediaSpan]
    ) -> WrittenTalk:
        """A talk with a verdict for each step. spans: of the question's media.

        ValueError where a verdict is no token of its own in the whole.
        """
        talk = judging_talk(question, steps, verdicts[:-1], self.system)
        rendered = self.encoder.written(talk, spans, verdicts[-1])
        ids, _ = rendered.arrays()
        places = (*(start for start, _ in rendered.spans), len(ids) - 1)
        wanted = [self.signs[verdict == WRONG] for verdict in verdicts]
        if [int(ids[place]) for place in places] != wanted:
            raise ValueError(
                f"template {self.encoder.template.name!r}: the tokenizer joins a verdict with what stands "
                "around it; a process reward model needs a template whose turns end in tokens of their own"
            )
        return WrittenTalk(ids, places)


def sign_id(encoder: Encoder, sign: str) -> int:
    """The one token with which a judge says a sign. ValueError where it is more, or joined to others."""
    asked = Conversation((say("user", "x"),))
    before, ids = encoder.prompt_ids(asked, spans=[]), encoder.prompt_ids(asked, sign, [])
    if len(ids) != len(before) + 1 or not np.array_equal(ids[:-1], before):
        tail = encoder.tokenizer.decode(ids[-4:].tolist(), skip_special=False)
        raise ValueError(
            f"tokenizer: {sign!r} is no token of its own behind {encoder.template.assistant_prefix!r} (the "
            f"prompt ends in {tail!r}); a process reward model needs one for {RIGHT} and one for {WRONG}"
        )
    return int(ids[-1])
