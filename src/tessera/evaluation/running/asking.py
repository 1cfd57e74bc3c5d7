"""Questions of a benchmark as requests in OpenAI's batch form."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tessera.chat.batch.lines import batch_request
from tessera.chat.message import IMAGE_MARK
from tessera.engine.sampling.options import Sampling
from tessera.evaluation.benchmarks.presets import ResolvedRules
from tessera.evaluation.benchmarks.prompts import VIDEO_MARK, write_question
from tessera.evaluation.rows.item import Item, MediaFile
from tessera.evaluation.running.enlarged import enlarged
from tessera.runtime.seeds import derive_seed

_MARKS = re.compile(f"({re.escape(IMAGE_MARK)}|{re.escape(VIDEO_MARK)})")
GREEDY = Sampling(temperature=0.0)


@dataclass(frozen=True)
class BenchmarkAsking:
    """How a benchmark's questions are put to a model.

    store: folder for pictures that are drawn anew. blind: without pictures and clips. reasoning: by the
    preset's own prompt for it. wording: a prompt of another kind around the question instead. candidates: of
    each question, the first greedy where `greedy_first`, the others by `sampling`. new_tokens: None takes
    the preset's. tiles: the server understands how many tiles a picture may have.
    """

    rules: ResolvedRules
    store: Path
    blind: bool = False
    reasoning: bool = False
    wording: Callable[[str], str] | None = None
    candidates: int = 1
    sampling: Sampling = GREEDY
    greedy_first: bool = True
    new_tokens: int | None = None
    tiles: bool = True
    wanted: dict[str, Any] = field(default_factory=dict)
    """further fields of every request"""

    def prompt(self, item: Item) -> str:
        """What is asked, with marks for pictures and clips."""
        asked = write_question(item, self.rules, self.blind, self.reasoning)
        return asked if self.wording is None else _around(asked, self.wording)

    def requests(self, item: Item) -> Iterator[dict[str, Any]]:
        """One for each candidate; they begin alike."""
        messages = self.messages(item)
        for number in range(self.candidates):
            place = (item.index, number)
            yield batch_request({"messages": messages, **self._chosen(place)}, *place)

    def messages(self, item: Item) -> list[dict[str, Any]]:
        """The talk: the preset's system text, if it has one, and the question."""
        system = [] if self.rules.system is None else [{"role": "system", "content": self.rules.system}]
        return [*system, {"role": "user", "content": self._content(item)}]

    def limit(self, pictures: int) -> int | None:
        """Most tiles of each of so many pictures; None leaves it to the model."""
        tiles, total = self.rules.tiles, self.rules.total_tiles
        if tiles is None or not pictures:
            return None
        return max(1, tiles if total is None else min(tiles, total // pictures))

    def _content(self, item: Item) -> list[dict[str, Any]]:
        media = iter([] if self.blind else self._media(item))
        content: list[dict[str, Any]] = []
        for piece in _MARKS.split(self.prompt(item)):
            if piece in (IMAGE_MARK, VIDEO_MARK) and not self.blind:
                content.append(next(media))
            elif piece:
                behind_picture = bool(content) and content[-1]["type"] != "text"
                exact = {"line_break": False} if behind_picture and not piece.startswith("\n") else {}
                content.append({"type": "text", "text": piece} | (exact if self.tiles else {}))
        return content

    def _media(self, item: Item) -> list[dict[str, Any]]:
        """Pictures, then clips, each kind in the data's order: as the marks meet them."""
        pictures = [media for media in item.media if media.kind == "image"]
        if self.rules.joined and pictures:
            rest = [str(media.path.resolve()) for media in pictures[1:]]
            first = self._picture(pictures[0], self.rules.tiles, 0)
            shown = [first | {"joined": rest, "joined_tiles": 1}] if rest else [first]
        else:
            limit = self.limit(len(pictures))
            shown = [self._picture(media, limit, number) for number, media in enumerate(pictures)]
        clips = [self._clip(media) for media in item.media if media.kind != "image"]
        return shown + clips

    def _picture(self, media: MediaFile, limit: int | None, number: int) -> dict[str, Any]:
        path = enlarged(media.path, self.store) if self.rules.first_enlarged and number == 0 else media.path
        named: dict[str, Any] = {"url": str(path.resolve())}
        if self.tiles and limit is not None:
            named["max_tiles"] = limit
        return {"type": "image_url", "image_url": named}

    def _clip(self, media: MediaFile) -> dict[str, Any]:
        own = {"start": media.start, "end": media.end, "frames": self.rules.frames}
        told = {name: value for name, value in own.items() if value is not None} if self.tiles else {}
        return {"type": "video_url", "video_url": {"url": str(media.path.resolve())}, **told}

    def _chosen(self, place: Sequence[str | int]) -> dict[str, Any]:
        """How tokens are chosen: the best ones, or drawn with a seed of this place."""
        tokens = {"max_tokens": self.new_tokens or self.rules.new_tokens}
        least = self.rules.min_new_tokens
        if least is not None and self.tiles:
            tokens["min_tokens"] = min(least, tokens["max_tokens"])
        if self.sampling.temperature == 0 or (self.greedy_first and place[1] == 0):
            return {"temperature": 0.0, **tokens, **self.wanted}
        drawn = {"temperature": self.sampling.temperature, "top_p": self.sampling.top_p}
        top_k = {"top_k": self.sampling.top_k} if self.sampling.top_k else {}
        seed = derive_seed("benchmark", self.sampling.seed, *place) % 2**63
        return {**drawn, **top_k, "seed": seed, **tokens, **self.wanted}


def _around(asked: str, wording: Callable[[str], str]) -> str:
    """Another prompt around the question; the marks in front stay in front."""
    front = re.match(r"(?:(?:Image-\d+: )?(?:<image>|<video>)[\n ])*", asked)
    begin = front.end() if front else 0
    return asked[:begin] + wording(asked[begin:])
