"""The model cards' side of docs/open.md: their names with their meaning, on our weights.

Prompts are put together as strings and tokenised whole (`tests/chat/official.py`), never by `tessera.chat`'s
renderer; tiles travel as a tensor of pixels, as on the cards.
"""

from __future__ import annotations

import queue
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from tessera.chat.encoder import Encoded
from tessera.engine.chat_model import ChatModel
from tessera.engine.sampling.options import Sampling
from tessera.imaging.decode import decode_image
from tessera.imaging.frames import frame_indices
from tessera.imaging.tiles import cut_tiles
from tessera.imaging.video import probe_video, read_frames
from tests.chat.official import internvl2_5

History = list[tuple[str, str]]
Asked = tuple[list[int], bytes]
"""Token ids and the bytes of the tiles."""


def asked(prompt: Encoded) -> Asked:
    """What a prompt gives the model, comparable."""
    return prompt.ids.tolist(), prompt.tiles.tobytes()


@dataclass
class CardModel:
    """`chat` and `batch_chat` by the published rule (docs/facts/templates.md); remembers what it was
    asked."""

    ours: ChatModel
    asked: list[Asked] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)

    def eval(self) -> CardModel:
        return self

    cuda = eval

    def chat(
        self,
        tokenizer: Any,
        pixel_values: torch.Tensor | None,
        question: str,
        generation_config: dict[str, Any],
        history: History | None = None,
        return_history: bool = False,
        num_patches_list: Sequence[int] | None = None,
    ) -> Any:
        """The answer as the cards' code gets it."""
        if history is None and pixel_values is not None and "<image>" not in question:
            question = "<image>\n" + question
        if num_patches_list is None:
            num_patches_list = [] if pixel_values is None else [len(pixel_values)]
        turns = [(role, text) for turn in history or [] for role, text in zip(ROLES, turn, strict=True)]
        answer = self._generate(
            [*turns, ("user", question)], pixel_values, num_patches_list, generation_config
        )
        return (answer, [*(history or []), (question, answer)]) if return_history else answer

    def batch_chat(
        self,
        tokenizer: Any,
        pixel_values: torch.Tensor,
        num_patches_list: Sequence[int],
        questions: Sequence[str],
        generation_config: dict[str, Any],
    ) -> list[str]:
        """One picture a question."""
        shares = pixel_values.split(list(num_patches_list))
        pairs = zip(questions, shares, strict=True)
        return [self.chat(tokenizer, share, question, generation_config) for question, share in pairs]

    def _generate(
        self,
        turns: list[tuple[str, str]],
        pixels: torch.Tensor | None,
        counts: Sequence[int],
        config: dict[str, Any],
    ) -> str:
        encoder, encode = self.ours.encoder, self.ours.tokenizer.encode
        system = encoder.system_text or ""
        ids, _ = internvl2_5(turns, encode, None, list(counts), encoder.tokens_per_tile, system)
        ids += encode("<|im_start|>assistant\n")
        side = encoder.tiling.tile_side
        tiles = np.zeros((0, side, side, 3), np.uint8)
        if pixels is not None:
            tiles = pixels.float().mul(255).round().byte().permute(0, 2, 3, 1).numpy()
        prompt = Encoded(np.array(ids, np.int32), np.zeros(len(ids), np.float32), tiles, tuple(counts))
        assert config["do_sample"] is False
        sampling = Sampling(max_new_tokens=config["max_new_tokens"])
        answer = self.ours.engine.generate([prompt], sampling)[0].text
        if "streamer" in config:
            config["streamer"].put(answer)
        self.asked.append(asked(prompt))
        self.answers.append(answer)
        return answer


ROLES = ("user", "assistant")


class TextIteratorStreamer:
    """Gives what was put, once."""

    def __init__(self, tokenizer: Any, skip_prompt: bool = False) -> None:
        self._queue: queue.Queue[str] = queue.Queue()

    def put(self, text: str) -> None:
        self._queue.put(text)

    def __iter__(self) -> Iterator[str]:
        yield self._queue.get(timeout=60)


def card_names(ours: ChatModel) -> dict[str, Any]:
    """What the cards' snippets use without saying where it is from."""

    def from_pretrained(path: str, **how: Any) -> CardModel:
        return CardModel(ours)

    def pixels(picture: Any, max_num: int) -> torch.Tensor:
        """Float [N, 3, S, S] between 0 and 1: normalisation is the model's part here."""
        tiling = ours.encoder.tiling.model_copy(update={"max_tiles": max_num, "min_tiles": 1})
        return torch.from_numpy(cut_tiles(picture, tiling)).permute(0, 3, 1, 2) / 255

    def load_image(file: str, max_num: int = 12) -> torch.Tensor:
        return pixels(decode_image(file), max_num).float()

    def load_video(file: str, num_segments: int, max_num: int) -> tuple[torch.Tensor, list[int]]:
        info = probe_video(file)
        frames = read_frames(file, frame_indices(info.frames, info.fps, num_segments))
        tiles = [pixels(frame, max_num) for frame in frames]
        return torch.cat(tiles), [len(part) for part in tiles]

    auto = type("Auto", (), {"from_pretrained": staticmethod(from_pretrained)})
    return {
        "AutoModel": auto,
        "AutoTokenizer": auto,
        "load_image": load_image,
        "load_video": load_video,
        "split_model": lambda path: {},
        "TextIteratorStreamer": TextIteratorStreamer,
        "torch": torch,
    }
