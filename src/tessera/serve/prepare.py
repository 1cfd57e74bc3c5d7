"""From what is asked to prompts: media read and fetched, everything measured, then let in and encoded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import ParamSpec, TypeVar

import numpy as np
import numpy.typing as npt

from tessera.chat.encoder import Encoded
from tessera.chat.message import Conversation, Video
from tessera.chat.positions import v2pe_positions
from tessera.engine.chat_model import ChatModel
from tessera.engine.request import ChatRequest, place_prompt
from tessera.engine.sampling.options import read_sampling
from tessera.serve.admission import Stock
from tessera.serve.ask import AnswerJob, Ask
from tessera.serve.faults import ApiFault, invalid
from tessera.serve.media.check import check_media
from tessera.serve.media.files import RequestFiles
from tessera.serve.media.reader import ServedReader
from tessera.serve.media.remote import RemoteFiles
from tessera.serve.media.talk import sources_of, with_files
from tessera.serve.pool import WorkPool
from tessera.serve.prompt_view import MediumView, PromptView
from tessera.serve.settings import ServeSettings

Ids = npt.NDArray[np.int32]
Given = ParamSpec("Given")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Size:
    """What a prompt takes: its ids' number, its tiles, and tokens that its answer may have."""

    tokens: int
    tiles: int
    new: int


class Preparer:
    """Makes jobs of what is asked, for one model. Texts never wait behind pictures: each has its threads."""

    def __init__(self, model: ChatModel, settings: ServeSettings, remote: RemoteFiles | None = None) -> None:
        limits = settings.limits
        self.model, self.settings, self.limits = model, settings, limits
        self.root = None if settings.media_root is None else settings.media_root.resolve()
        self.remote = remote or RemoteFiles(limits.remote_bytes, limits.remote_seconds)
        self.quick, self.slow = WorkPool(2, "texts"), WorkPool(limits.threads, "media")
        self.rating = WorkPool(1, "critic")
        self.fetched = Stock(bytes=max(limits.total_bytes, limits.remote_bytes))
        self.work = Stock(tokens=limits.total_tokens, tiles=limits.total_tiles)

    async def jobs(self, ask: Ask, held: AsyncExitStack) -> list[AnswerJob]:
        """A job for every answer; `held` keeps their places until they are over. ApiFault for mistakes."""
        if ask.messages is None:
            raw = await self._done(self.quick, None, self._raw, ask)
            await self._enter(held, [size for _, size in raw], ask)
            return [each for job, _ in raw for each in self._choices(job, ask)]
        files = RequestFiles()
        rated = ask.selection is not None and ask.selection.rule.scored
        kept = rated or self.model.family.links is not None
        try:
            if kept:  # a critic, or a decoder of links, reads them when the answers are there
                held.callback(files.close)
            talk = await self._read(ask, files)
            pool = self.slow if talk.media else self.quick
            size = await self._done(pool, files, self.measure, talk, ask)
            await self._enter(held, [size], ask)
            job = await self._done(pool, files, self._encode, talk, ask, size)
            return self._choices(replace(job, talk=talk) if ask.selection else job, ask)
        finally:
            if not kept:
                files.close()

    async def seen(self, ask: Ask) -> PromptView:
        """What the model would see of it; no pixel is decoded and nothing waits for others."""
        if ask.messages is None:
            raw = await self._done(self.quick, None, self._raw, ask)
            job, _ = raw[0]
            return self._seen(job.prompt.ids, job.increment, (), job.text)
        files = RequestFiles()
        try:
            talk = await self._read(ask, files)
            return await self._done(self.slow, files, self._look, talk, ask)
        finally:
            files.close()

    def measure(self, talk: Conversation, ask: Ask) -> Size:
        """What a talk will take; reads headers only. ApiFault for a limit, ValueError for what is wrong."""
        limits, encoder = self.limits, self.model.encoder
        _require(sum(len(m.text) for m in talk.messages), limits.characters, "characters")
        check_media(talk, limits)
        request = self._request(talk, ask)
        spans = encoder.spans(request.conversation)
        parts = zip(request.conversation.media, spans, strict=True)
        _require(sum(len(s.tiles) for p, s in parts if isinstance(p, Video)), limits.frames, "frames")
        _require(tiles := sum(sum(span.tiles) for span in spans), limits.tiles, "tiles")
        ids = encoder.prompt_ids(request.conversation, request.prefill, spans)
        return self._fitted(Size(len(ids), tiles, 0), ids, request.visual_increment, ask)

    def close(self) -> None:
        """End the threads."""
        for pool in (self.quick, self.slow, self.rating):
            pool.close()

    async def _read(self, ask: Ask, files: RequestFiles) -> Conversation:
        remote, limits = self.settings.allow_remote, self.limits
        reader = ServedReader(files, self.root, remote, limits.media, limits.parts)
        talk = await self._done(self.quick, files, reader.conversation, ask.messages or ())
        talk = ask.tools.told(talk, self.model.encoder.system)
        addresses = [source for part in talk.media for source in sources_of(part) if isinstance(source, str)]
        if not addresses:
            return talk
        async with self.fetched.hold(bytes=self.limits.remote_bytes):
            found = await self.remote.fetch(addresses)
        return talk.map_parts(lambda part: with_files(part, found, files))

    async def _enter(self, held: AsyncExitStack, sizes: Sequence[Size], ask: Ask) -> None:
        """Wait until there is room for all of them. What is told of each token takes memory, too."""
        each = ask.choices * (1 + (ask.options.get("logprobs") or 0))
        tokens = sum(size.tokens + size.new * each for size in sizes)
        _require(tokens, self.limits.total_tokens, "total_tokens")
        await held.enter_async_context(self.work.hold(tokens=tokens, tiles=sum(size.tiles for size in sizes)))

    def _request(self, talk: Conversation, ask: Ask) -> ChatRequest:
        model = self.model
        given = {"question": talk, **ask.options}
        return ChatRequest.read(model.encoder.tiling.max_tiles, given, model.family.visual_increment)

    def _look(self, talk: Conversation, ask: Ask) -> PromptView:
        self.measure(talk, ask)
        request, encoder = self._request(talk, ask), self.model.encoder
        spans = encoder.spans(request.conversation)
        views = zip(spans, encoder.grids(request.conversation), strict=True)
        per = encoder.tokens_per_tile
        media = tuple(MediumView(span.tiles, span.tokens(per), grid) for span, grid in views)
        text = encoder.render_text(request.conversation, generate=True, prefill=request.prefill)
        ids = encoder.prompt_ids(request.conversation, request.prefill, spans)
        return self._seen(ids, request.visual_increment, media, text)

    def _seen(self, ids: Ids, increment: float, media: tuple[MediumView, ...], text: str) -> PromptView:
        positions = v2pe_positions(ids, self.model.encoder.context_id, increment)
        return PromptView(ids, positions, media, text)

    def _encode(self, talk: Conversation, ask: Ask, size: Size) -> AnswerJob:
        prompt = self.model.prompt(talk, max_new_tokens=size.new, **ask.options)
        return AnswerJob(prompt.encoded, prompt.sampling, prompt.visual_increment, linker=prompt.linker)

    async def _done(
        self,
        pool: WorkPool,
        files: RequestFiles | None,
        work: Callable[Given, Result],
        *given: Given.args,
        **options: Given.kwargs,
    ) -> Result:
        """`work` done in a thread; its ValueError as a fault that names no folder of the server."""
        try:
            return await pool.run(partial(work, *given, **options))
        except (ValueError, OSError) as error:
            fault = invalid(error if isinstance(error, ValueError) else ValueError(str(error)))
            hidden = fault.message if self.root is None else fault.message.replace(f"{self.root}/", "")
            fault.message = hidden if files is None else files.hidden(hidden)
            raise fault from error

    def _raw(self, ask: Ask) -> list[tuple[AnswerJob, Size]]:
        """Raw prompts as jobs. Special strings in their texts are tokens: whoever writes them writes all."""
        tokenizer, found = self.model.tokenizer, []
        characters = sum(len(raw) for raw in ask.prompts if isinstance(raw, str))
        _require(characters, self.limits.characters, "characters")
        bos = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
        for number, raw in enumerate(ask.prompts):
            where = f"prompt[{number}]"
            ids = [*bos, *tokenizer.encode(raw)] if isinstance(raw, str) else list(raw)
            if not ids or not 0 <= min(ids) <= max(ids) < tokenizer.vocab_size:
                message = f"{where}: ids run from 0 to {tokenizer.vocab_size - 1}, and there is at least one"
                raise ApiFault(400, message, "invalid_value", where)
            if set(self.model.family.model.placeholder_ids) & set(ids):
                message = f"{where}: holds the token of a picture or sound; they go to /v1/chat/completions"
                raise ApiFault(400, message, "invalid_value", where)
            found.append(self._raw_job(np.array(ids, np.int32), ask, raw))
        return found

    def _raw_job(self, ids: Ids, ask: Ask, raw: str | tuple[int, ...]) -> tuple[AnswerJob, Size]:
        side, increment = self.model.encoder.tiling.tile_side, self.model.family.visual_increment
        size = self._fitted(Size(len(ids), 0, 0), ids, increment, ask)
        encoded = Encoded(ids, np.zeros(len(ids), np.float32), np.zeros((0, side, side, 3), np.uint8), ())
        sampling = read_sampling({**ask.options, "max_new_tokens": size.new})
        text = raw if isinstance(raw, str) else self.model.tokenizer.decode(ids, skip_special=False)
        return AnswerJob(encoded, sampling, increment, text), size

    def _fitted(self, size: Size, ids: Ids, increment: float, ask: Ask) -> Size:
        """The size with as many new tokens as were asked for, or as usual where there is room."""
        try:
            config = self.model.family.model
            _, room = place_prompt("the prompt", ids, increment, ask.new_tokens or 1, config)
        except ValueError as error:
            raise invalid(error, "context_length_exceeded") from error
        most = room if self.limits.tokens is None else min(room, self.limits.tokens - size.tokens)
        if most < (ask.new_tokens or 1):
            both = f"{size.tokens} tokens of the prompt and {ask.new_tokens or 1} of the answer"
            message = f"{both} are more than {self.limits.tokens} (limits.tokens); shorten one of them"
            raise ApiFault(400, message, "context_length_exceeded")
        return replace(size, new=ask.new_tokens or min(self.settings.new_tokens, most))

    @staticmethod
    def _choices(job: AnswerJob, ask: Ask) -> list[AnswerJob]:
        """The job once for every choice: the first as if alone or greedy, the others with their own seeds."""
        greedy_first = ask.selection is not None and ask.selection.greedy_first
        return [replace(job, sampling=each) for each in job.sampling.several(ask.choices, greedy_first)]


def _require(count: int, most: int, what: str) -> None:
    """ApiFault when a request has more of something than the server allows."""
    if count > most:
        noun = what.removeprefix("total_")
        message = f"the request has {count:,} {noun}, more than {most:,} (limits.{what}); give fewer"
        raise ApiFault(400, message, f"too_many_{noun}")
