"""From a body to rows: media read and fetched, measured, embedded by one thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from tessera.chat.message import Conversation, Image, Message, Part, PictureSource, Text, Video
from tessera.engine.embedding.clips import FRAMES, embed_clip
from tessera.engine.embedding.embedder import Embedder
from tessera.serve.admission import Stock
from tessera.serve.embedding.body import EmbeddingBody, embeddings
from tessera.serve.faults import ApiFault, bad_field, invalid
from tessera.serve.http.body import parse
from tessera.serve.http.entrance import Entrance
from tessera.serve.media.check import check_media
from tessera.serve.media.files import RequestFiles
from tessera.serve.media.reader import ServedReader
from tessera.serve.media.remote import RemoteFiles
from tessera.serve.media.talk import sources_of, with_files
from tessera.serve.pool import WorkPool
from tessera.serve.settings import ServeSettings

AT_ONCE = 32
"""Texts or pictures that are embedded together, so that nobody waits for all of another's."""
Result = TypeVar("Result")


class EmbeddingFront(Entrance):
    """Where requests to a pair come in. One model, which one thread asks."""

    def __init__(self, model: Embedder, settings: ServeSettings, remote: RemoteFiles | None = None) -> None:
        super().__init__(settings)
        limits = settings.limits
        self.model = model
        self.root = None if settings.media_root is None else settings.media_root.resolve()
        self.remote = remote or RemoteFiles(limits.remote_bytes, limits.remote_seconds)
        self.quick, self.rows = WorkPool(2, "bodies"), WorkPool(1, "pair")
        self.fetched = Stock(bytes=max(limits.total_bytes, limits.remote_bytes))

    async def embedded(self, raw: bytes) -> dict[str, Any]:
        """The answer to a body. ApiFault names what is wrong with it."""
        files = RequestFiles()
        try:
            body, talk = await self._done(self.quick, files, partial(self._read, raw, files))
            if addresses := [s for part in talk.media for s in sources_of(part) if isinstance(s, str)]:
                async with self.fetched.hold(bytes=self.settings.limits.remote_bytes):
                    found = await self.remote.fetch(addresses)
                talk = talk.map_parts(lambda part: with_files(part, found, files))
            await self._done(self.quick, files, partial(check_media, talk, self.settings.limits))
            rows = torch.empty(len(talk.messages), self.model.width)
            for some in self._batches(talk):
                part = [talk.messages[number] for number in some]
                rows[some] = await self._done(self.rows, files, partial(self._embed, part))
            texts = [message.text for message in talk.messages if message.text]
            tokens = await self._done(self.quick, files, partial(self.model.count_tokens, texts))
            answer = partial(embeddings, rows.numpy().astype(np.float32), body.encoding_format)
            return await self.quick.run(partial(answer, self.settings.name, sum(tokens)))
        finally:
            files.close()

    def close(self) -> None:
        """End the threads."""
        self.quick.close()
        self.rows.close()

    def _read(self, raw: bytes, files: RequestFiles) -> tuple[EmbeddingBody, Conversation]:
        """The body, and its rows as messages: of words alone, of one picture, or of one clip."""
        body, limits = EmbeddingBody.read(parse(raw)), self.settings.limits
        self.require_model(body.model)
        body.require_width(self.model.width)
        entries = body.entries()
        if len(entries) > limits.parts:
            message = f"input: {len(entries):,} entries are more than {limits.parts:,} (limits.parts)"
            raise ApiFault(400, message, "too_many_parts", "input")
        reader = ServedReader(files, self.root, self.settings.allow_remote, limits.media, limits.parts)
        messages = [_one(where, reader.message(where, entry)) for where, entry in entries]
        frames = sum(part.frames or FRAMES for m in messages for part in m.parts if isinstance(part, Video))
        if frames > limits.frames:
            message = f"input: {frames} frames of clips are more than {limits.frames} (limits.frames)"
            raise ApiFault(400, message, "too_many_frames", "input")
        if (count := sum(len(message.text) for message in messages)) > limits.characters:
            text = f"input: {count:,} characters are more than {limits.characters:,} (limits.characters)"
            raise ApiFault(400, text, "too_many_characters", "input")
        return body, Conversation(tuple(messages))

    def _batches(self, talk: Conversation) -> list[list[int]]:
        """Numbers of messages of one kind, a few at a time."""
        kinds: dict[type, list[int]] = {}
        for number, message in enumerate(talk.messages):
            kinds.setdefault(type(message.parts[0]), []).append(number)
        return [
            same[start : start + AT_ONCE] for same in kinds.values() for start in range(0, len(same), AT_ONCE)
        ]

    def _embed(self, messages: list[Message]) -> Tensor:
        """Unit rows float32 [N, W] of messages of one kind."""
        first = messages[0].parts[0]
        if isinstance(first, Image):
            pictures: list[PictureSource] = [
                m.parts[0].source for m in messages if isinstance(m.parts[0], Image)
            ]
            return self.model.embed_images(pictures)
        if isinstance(first, Video):
            clips = [m.parts[0] for m in messages if isinstance(m.parts[0], Video)]
            return torch.stack([embed_clip(self.model, clip.source, clip.frames or FRAMES) for clip in clips])
        return self.model.embed_texts([message.text for message in messages])

    async def _done(self, pool: WorkPool, files: RequestFiles, work: Callable[[], Result]) -> Result:
        """`work` done in a thread; its ValueError as a fault that names no folder of the server."""
        try:
            return await pool.run(work)
        except (ValueError, OSError) as error:
            fault = invalid(error if isinstance(error, ValueError) else ValueError(str(error)))
            hidden = fault.message if self.root is None else fault.message.replace(f"{self.root}/", "")
            fault.message = files.hidden(hidden)
            raise fault from error


def _one(where: str, message: Message | None) -> Message:
    """A message with one text, made of its parts, or with one picture or clip; ApiFault for another."""
    if message is None or message.role != "user":
        raise bad_field(where, "a row is made of one user message")
    media = [part for part in message.parts if not isinstance(part, Text)]
    words = "".join(part.text for part in message.parts if isinstance(part, Text))
    if bool(media) == bool(words.strip()) or len(media) > 1:
        what = f"{len(media)} pictures or clips and {len(words.strip())} characters"
        raise bad_field(where, f"{what}; a row is of words alone, of one picture, or of one clip")
    if media and not _plain(media[0]):
        raise bad_field(where, "a picture is read whole, a clip by its frames alone; leave options out")
    return Message("user", (media[0] if media else Text(words),))


def _plain(part: Part) -> bool:
    """Whether a picture or clip is asked for without options that make no difference here."""
    if isinstance(part, Image):
        return part == Image(part.source)
    return isinstance(part, Video) and part == Video(part.source, frames=part.frames)
