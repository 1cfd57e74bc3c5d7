"""From the links of an answer to what users get: states, and results, made when they are looked at."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import torch

from tessera.chat.encoder import Encoded, Encoder
from tessera.chat.message import Conversation
from tessera.engine.completion import Link
from tessera.engine.links.decoders import LinkDecoders, LinkRequest, LinkResult, SeenPicture
from tessera.models.links.parts import LinkParts


@dataclass(frozen=True, eq=False)
class AnswerLink:
    """A link token of an answer.

    token: its name. place: its number among the answer's tokens. states: float32 [N, D], the last states of
    its queries. decoder: who takes them. `result` is made when it is looked at first.
    """

    token: str
    place: int
    states: torch.Tensor
    decoder: str
    linker: Linker

    @cached_property
    def projected(self) -> torch.Tensor:
        """What the decoder gets: float32 [N, W]."""
        parts = self.linker.parts
        with torch.no_grad():
            return parts.project(parts.number(self.token), self.states).float().cpu()

    @cached_property
    def result(self) -> LinkResult:
        """What the decoder makes of it. ValueError where nobody registered the decoder, or it fails."""
        decode = self.linker.decoders.find(self.decoder, self.token)
        return decode(LinkRequest(self.token, self.projected, self.linker.pictures))

    @property
    def decodable(self) -> bool:
        """Whether its decoder is there."""
        return self.decoder in self.linker.decoders.table


@dataclass(frozen=True, eq=False)
class Linker:
    """Binds the links of one answer to its question's pictures and the model's decoders."""

    parts: LinkParts
    decoders: LinkDecoders
    encoder: Encoder
    conversation: Conversation
    encoded: Encoded

    def bind(self, links: Iterable[Link]) -> tuple[AnswerLink, ...]:
        """Each as users get it."""
        names = {self.encoder.tokenizer.token_id(link.token): link for link in self.parts.config.tokens}
        found = ((names[link.token], link) for link in links)
        return tuple(AnswerLink(said.token, one.place, one.states, said.decoder, self) for said, one in found)

    @cached_property
    def pictures(self) -> tuple[SeenPicture, ...]:
        """The question's pictures with their tiles; clips are left out."""
        seen: list[SeenPicture] = []
        start = 0
        cuts = self.encoder.cuts(self.conversation)
        for span, pictures in zip(self.encoder.spans(self.conversation), cuts, strict=True):
            own = start
            for cut in pictures:
                tiles = self.encoded.tiles[own : own + cut.tiles]
                seen.append(SeenPicture(len(seen), cut, tiles))
                own += cut.tiles
            start += sum(span.tiles)
        return tuple(seen)
