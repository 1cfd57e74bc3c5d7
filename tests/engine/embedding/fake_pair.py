"""A pair without weights: three numbers say how red, green and blue a picture or a text is."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from tessera.chat.message import PictureSource
from tessera.engine.embedding.embedder import Fit
from tessera.imaging.decode import decode_image

COLOURS = {"red": 0, "rosso": 0, "green": 1, "verde": 1, "blue": 2, "blu": 2}


class FakePair:
    """Counts what it embeds. `level` is part of what an index depends on."""

    name, width, modes = "fake", 4, ("c", "g")

    def __init__(self, level: str = "1") -> None:
        self.fingerprint = f"fake {level}"
        self.pictures = self.texts = 0
        self.fits: set[str] = set()

    def embed_images(
        self, images: Sequence[PictureSource], mode: str = "c", *, fit: Fit = "square", unit: bool = True
    ) -> Tensor:
        self.pictures += len(images)
        self.fits.add(fit)
        rows = []
        for image in images:
            pixels = decode_image(image).resize((1, 1)).getpixel((0, 0))
            rows.append(torch.tensor([*(value / 255 for value in pixels), 0.1 if mode == "c" else 0.2]))
        return F.normalize(torch.stack(rows), dim=-1) if unit else torch.stack(rows)

    def embed_texts(self, texts: Sequence[str], *, unit: bool = True) -> Tensor:
        self.texts += len(texts)
        rows = torch.full((len(texts), 4), 0.1)
        for row, text in zip(rows, texts, strict=True):
            for word, place in COLOURS.items():
                row[place] += text.lower().count(word)
        return F.normalize(rows, dim=-1) if unit else rows

    def count_tokens(self, texts: Sequence[str]) -> list[int]:
        return [len(text.split()) + 2 for text in texts]

    def scale(self) -> float:
        return 100.0
