"""What a model of pictures and texts in one space can do: all that search, classes and the server need."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, Protocol, runtime_checkable

from torch import Tensor

from tessera.chat.message import PictureSource

Fit = Literal["square", "crop"]
"""How a picture becomes the square that the encoder takes.

square: resized to it whatever its shape, as retrieval was published; crop: short side to the square's side
and the middle cut out, as classification and video were (docs/facts/embedding.md)."""


@runtime_checkable
class Embedder(Protocol):
    """A contrastive pair that is open. A row depends on its own picture or text, never on its neighbours."""

    @property
    def name(self) -> str:
        """What was opened, in a word or two."""

    @property
    def fingerprint(self) -> str:
        """Text that differs wherever weights or reading of pictures and texts differ: kept with an index."""

    @property
    def width(self) -> int:
        """Numbers in a row."""

    @property
    def modes(self) -> tuple[str, ...]:
        """Ways to embed a picture, the plainest first: "c", and "g" where queries read the picture, too."""

    def embed_images(
        self, images: Sequence[PictureSource], mode: str = "c", *, fit: Fit = "square", unit: bool = True
    ) -> Tensor:
        """Pictures, float32 [N, W] on the CPU; rows of length 1, or as the heads give them without `unit`.

        Pictures are read and computed a few at a time. Raises ValueError naming the picture that cannot be
        read by its place in the list.
        """

    def embed_texts(self, texts: Sequence[str], *, unit: bool = True) -> Tensor:
        """Texts without the model's prefix, float32 [N, W] on the CPU; rows as those of pictures."""

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        """Tokens that are read of each text, prefix and end included; a longer text is cut at the limit."""

    def scale(self) -> float:
        """What the product of two unit rows is multiplied by in training: exp(logit_scale)."""
