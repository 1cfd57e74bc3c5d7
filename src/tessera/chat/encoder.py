"""Conversations with media to token ids, loss weights, tiles and spectrograms: the one path of Tessera.

Training, chat, serving and evaluation all come through `Encoder`, so that a model sees the same tokens
everywhere. `measure` walks the same path with picture sizes from file headers and decodes no pixels.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from tessera.audio.mel import LogMel
from tessera.chat.cutting.cutter import CutPicture, Cutter
from tessera.chat.frame_labels import frame_pattern
from tessera.chat.message import Audio, Conversation, Image, Video
from tessera.chat.render import Rendered, render
from tessera.chat.sounds.rule import SoundRule, required
from tessera.chat.templates import Template
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.content import ContentTokens, content_names
from tessera.chat.tokens import NO_SLOTS, LinkSlots, MediaSpan, with_tokens
from tessera.imaging.decode import name_of
from tessera.imaging.grid import Tiling
from tessera.imaging.pictures.losses import what_is_lost
from tessera.imaging.pictures.reading import PUBLISHED, PictureReading
from tessera.imaging.tiles import Resize


@dataclass(frozen=True)
class Lengths:
    """Size of an encoded conversation: tokens, tiles and how many of the tokens are supervised.

    branches: of several answers to one prompt the tokens of each.
    """

    tokens: int
    tiles: int
    trained: int = 0
    branches: tuple[int, ...] = ()


@dataclass(frozen=True)
class Encoded:
    """A conversation as the model takes it.

    ids int32 [T]; weights float32 [T], 1.0 where token t is a supervised target, else 0.0; tiles uint8
    [N, S, S, 3] in the order of their placeholders; tiles_per_image: N split over pictures and frames.
    branches: where one prompt has several answers behind it, the tokens of each, the chosen one first; the
    prompt is what is left of `ids`. sounds: spectrograms, in the order of their placeholders. tile_tokens: of
    each tile, () where all have the usual number.
    """

    ids: npt.NDArray[np.int32]
    weights: npt.NDArray[np.float32]
    tiles: npt.NDArray[np.uint8]
    tiles_per_image: tuple[int, ...]
    branches: tuple[int, ...] = ()
    sounds: tuple[LogMel, ...] = ()
    tile_tokens: tuple[int, ...] = ()


@dataclass(frozen=True)
class Encoder:
    """Encodes conversations for one model.

    tokens_per_tile: <IMG_CONTEXT> slots of a tile (256 for 448 px). frame_label: words before a video frame,
    a name of `FRAME_LABELS` or a pattern with `{index}`, counted from 1. system_text: None takes the
    template's, "" an empty one; a system message overrides it.
    frames: frames taken from a clip that does not say; max_frames: the most a clip may ask for.
    pictures: how picture files become RGB where a part does not say.
    trust_text: special strings in content become control tokens, as in the official code.
    content_tokens: special strings that content may hold as tokens, as `content_names` takes them; what the
    template writes is never among them.
    hearing: how sounds are written; None for a model that does not hear.
    slots: what stands behind the link tokens of answers.
    tile_tokens: says by a look at the tiles uint8 [N, S, S, 3] of a conversation how many tokens each gets;
    None where all get `tokens_per_tile`.
    """

    tokenizer: Tokenizer
    template: Template
    tiling: Tiling
    tokens_per_tile: int
    frame_label: str = "training"
    system_text: str | None = None
    frames: int = 8
    max_frames: int = 64
    resize: Resize = "exact"
    trust_text: bool = False
    pictures: PictureReading = PUBLISHED
    content_tokens: ContentTokens = "added"
    hearing: SoundRule | None = None
    slots: LinkSlots = NO_SLOTS
    tile_tokens: Callable[[npt.NDArray[np.uint8]], Sequence[int]] | None = None

    def __post_init__(self) -> None:
        if missing := [token for token in self.template.tokens.all if not self.tokenizer.has_token(token)]:
            raise ValueError(
                f"tokenizer: lacks {' '.join(missing)}; "
                "use tokenizer.with_added() and resize the model's embeddings"
            )
        if not (self.template.captions or self.tokenizer.has_token(self.template.stop)):
            raise ValueError(
                f"template: {self.template.name!r} stops at {self.template.stop!r}, which is no token of "
                "this tokenizer; choose the template that belongs to the model"
            )
        frame_pattern(self.frame_label)
        written = {token for token in self.tokenizer.added if token in self.template.frame}
        names = content_names(
            self.tokenizer.added, self.tokenizer.config, self.content_tokens, self.template.tokens, written
        )
        object.__setattr__(self, "tokenizer", self.tokenizer.with_content(names))

    @property
    def context_id(self) -> int:
        """Id of the visual placeholder."""
        return self.tokenizer.token_id(self.template.tokens.context)

    @property
    def contexts(self) -> tuple[str, ...]:
        """The placeholders of pictures and, where the model hears, of sounds."""
        tokens = self.template.tokens
        return (tokens.context, *((tokens.sound.context,) if tokens.sound else ()))

    @property
    def system(self) -> str:
        """The system text of a conversation that gives none."""
        return self.template.system_text if self.system_text is None else self.system_text

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids that end an answer."""
        stops = filter(self.tokenizer.has_token, self.template.stops)
        return frozenset(map(self.tokenizer.token_id, stops))

    def spans(self, conversation: Conversation) -> list[MediaSpan]:
        """Placeholders of every picture, clip and sound, in order; reads file headers only, or all that
        `tile_tokens` looks at."""
        if self.tile_tokens is not None:
            return self._read(conversation, None)[0]
        cutter, share = self._cutter, conversation.share_tiles(self.tiling.max_tiles)
        return [
            MediaSpan.of_sound(required(self.hearing).tokens(part))
            if isinstance(part, Audio)
            else self._span(part, cutter.count(part, share))
            for part in conversation.media
        ]

    def grids(self, conversation: Conversation) -> list[tuple[int, int] | None]:
        """(columns, rows) in which every picture is cut; None for other media. Headers only."""
        share = conversation.share_tiles(self.tiling.max_tiles)
        return [self._cutter.grid(part, share) for part in conversation.media]

    def cuts(self, conversation: Conversation) -> list[list[CutPicture]]:
        """How the pictures of every part are cut, joined ones apart; none of a clip. Headers only."""
        share = conversation.share_tiles(self.tiling.max_tiles)
        return [
            self._cutter.cuts(part, share) if isinstance(part, Image) else [] for part in conversation.media
        ]

    def measure(self, conversation: Conversation) -> Lengths:
        """Tokens, tiles and supervised tokens that `encode` will give; reads file headers only.

        A prompt with several answers counts once, and all its answers.
        """
        spans = self.spans(conversation)
        rendered = self._render(conversation, media=spans)
        tiles = sum(sum(span.tiles) for span in spans)
        return Lengths(len(rendered.ids), tiles, rendered.trained, rendered.branches)

    def prompt_ids(
        self, conversation: Conversation, prefill: str = "", spans: list[MediaSpan] | None = None
    ) -> npt.NDArray[np.int32]:
        """The ids int32 [T] that `encode` with `generate` will give; reads file headers only.

        spans: those of the conversation, where they are known.
        """
        media = self.spans(conversation) if spans is None else spans
        return self.written(conversation, media, prefill).arrays()[0]

    def written(self, conversation: Conversation, spans: list[MediaSpan], prefill: str = "") -> Rendered:
        """The same with the places of earlier answers; opens no file."""
        return self._render(conversation, media=spans, generate=True, prefill=prefill)

    def encode(
        self,
        conversation: Conversation,
        generate: bool = False,
        most_visual: int | None = None,
        prefill: str = "",
    ) -> Encoded:
        """Ids, weights and tiles; `generate` ends the prompt with the assistant's role and `prefill`.

        most_visual: ValueError, before more pixels are read, when media take more tokens than that.
        """
        spans, flat, sounds, each = self._read(conversation, most_visual)
        rendered = self._render(conversation, media=spans, generate=generate, prefill=prefill)
        side = self.tiling.tile_side
        tiles = np.concatenate(flat) if flat else np.zeros((0, side, side, 3), dtype=np.uint8)
        seen = (tiles, tuple(map(len, flat)))
        return Encoded(*rendered.arrays(), *seen, rendered.branches, sounds, each)

    def _read(
        self, conversation: Conversation, most_visual: int | None
    ) -> tuple[list[MediaSpan], list[npt.NDArray[np.uint8]], tuple[LogMel, ...], tuple[int, ...]]:
        """Placeholders, tiles of every picture and frame, sounds, and what `tile_tokens` says of tiles."""
        media, share = conversation.media, conversation.share_tiles(self.tiling.max_tiles)
        cutter = self._cutter
        flat: list[npt.NDArray[np.uint8]] = []
        sounds: list[LogMel] = []
        spans: list[MediaSpan] = []
        taken = 0
        for part in media:
            if isinstance(part, Audio):
                sounds.append(required(self.hearing).spectrogram(part))
                spans.append(MediaSpan.of_sound(required(self.hearing).count(sounds[-1].frames)))
            else:
                cut = cutter.cut(part, share)
                flat += cut
                spans.append(self._span(part, tuple(map(len, cut))))
            taken += sum(spans[-1].tiles) * self.tokens_per_tile + spans[-1].sound
            if most_visual is not None and taken > most_visual:
                raise ValueError(
                    f"{len(spans)} of {len(media)} pictures and other media take {taken:,} tokens of at "
                    f"most {most_visual:,}: give fewer pictures, frames or tiles (max_tiles=...)"
                )
        if self.tile_tokens is None or not flat:
            return spans, flat, tuple(sounds), ()
        each = tuple(self.tile_tokens(np.concatenate(flat)))
        return with_tokens(spans, each), flat, tuple(sounds), each

    def render_text(self, conversation: Conversation, generate: bool = False, prefill: str = "") -> str:
        """The prompt as readable text, runs of placeholders as `<IMG_CONTEXT>*256`; headers only."""
        spans = self.spans(conversation)
        rendered = self._render(conversation, media=spans, generate=generate, prefill=prefill)
        written = [number for number in rendered.ids if not self.slots.holds(number)]
        text = self.tokenizer.decode(written, skip_special=False)
        for context in self.contexts:
            run, size = f"(?:{re.escape(context)})+", len(context)
            text = re.sub(run, lambda m, c=context, s=size: f"{c}*{len(m[0]) // s}", text)  # type: ignore[misc]
        return text

    def picture_notes(self, conversation: Conversation) -> list[str]:
        """A line for everything that reading the pictures leaves out, and what keeps it."""
        return [
            f"picture {name_of(source)}: {loss} ({detail}); {loss.remedy}"
            for part in conversation.media
            if isinstance(part, Image)
            for source in (part.source, *part.joined)
            for loss, detail in what_is_lost(source, part.reading or self.pictures)
        ]

    def describe(self) -> dict[str, str | int | None]:
        """Every setting that changes the tokens, for the record of a run."""
        system = self.template.system_text if self.system_text is None else self.system_text
        bos = self.tokenizer.bos_id
        return {
            "template": self.template.name,
            "system_text": system,
            "vocabulary": self.tokenizer.vocab_size,
            "bos": None if bos is None else self.tokenizer.decode([bos], skip_special=False),
            "stops": " ".join(s for s in self.template.stops if self.tokenizer.has_token(s)),
            "tile_side": self.tiling.tile_side,
            "min_tiles": self.tiling.min_tiles,
            "max_tiles": self.tiling.max_tiles,
            "thumbnail": int(self.tiling.thumbnail),
            **({} if self.tiling.square == "squeeze" else {"square": self.tiling.square}),
            "tokens_per_tile": self.tokens_per_tile,
            "frame_label": frame_pattern(self.frame_label),
            "frames": self.frames,
            "resize": self.resize,
            "pictures": str(self.pictures),
            "trust_text": int(self.trust_text),
            "content_tokens": " ".join(sorted(self.tokenizer.content)),
            **self._hearing_told,
            **self._links(),
        }

    def _links(self) -> dict[str, str | int | None]:
        """The link tokens and their numbers of queries; nothing for most models."""
        name = partial(self.tokenizer.decode, skip_special=False)
        told = (f"{name([token])} {count}" for token, count in self.slots.counts)
        return {"links": ", ".join(told)} if self.slots.counts else {}

    @property
    def _hearing_told(self) -> dict[str, int]:
        """What changes the tokens of sounds; nothing where there are none."""
        if (rule := self.hearing) is None:
            return {}
        return {"sound_frames": rule.most_frames, "sound_tokens": rule.count(rule.most_frames)}

    @property
    def _render(self) -> partial[Rendered]:
        """`render` with the settings of this encoder."""
        return partial(
            render,
            template=self.template,
            tokenizer=self.tokenizer,
            tokens_per_tile=self.tokens_per_tile,
            system_text=self.system_text,
            trust_text=self.trust_text,
            slots=self.slots,
        )

    @property
    def _cutter(self) -> Cutter:
        """How pictures and clips become tiles with the settings of this encoder."""
        return Cutter(self.tiling, self.frames, self.max_frames, self.resize, self.pictures)

    def _span(self, part: Image | Video, tiles: tuple[int, ...]) -> MediaSpan:
        if isinstance(part, Image):
            return MediaSpan(tiles)
        label = frame_pattern(self.frame_label)
        return MediaSpan(tiles, tuple(label.format(index=i + 1) for i in range(len(tiles))))
