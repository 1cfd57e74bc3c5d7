"""What the links of an answer became, in files: masks, pictures with masks laid over them, drawn pictures."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tessera.engine.answer import Answer
from tessera.engine.links.linker import AnswerLink
from tessera.imaging.masks.overlay import mask_box, mask_picture, overlay


@dataclass(frozen=True)
class LinkFiles:
    """Writes into a folder, behind what is there: `001_mask_1.png`, `001_overlay_1.png`, and so on."""

    folder: Path

    def save(self, answer: Answer) -> dict[str, Any]:
        """Files of an answer: `links`, one entry for each, and `overlays`; nothing where it has no links.

        A link whose decoder is missing, or fails, has a `fault`.
        """
        if not answer.links:
            return {}
        self.folder.mkdir(parents=True, exist_ok=True)
        number = 1 + max((int(p.name[:3]) for p in self.folder.glob("[0-9][0-9][0-9]_*.png")), default=0)
        writer = _Writer(self.folder, f"{number:03d}")
        links = [writer.link(link) for link in answer.links]
        return {"links": links, "overlays": writer.overlays(answer.links[0])}


class _Writer:
    def __init__(self, folder: Path, lead: str) -> None:
        self._folder, self._lead = folder, lead
        self._counts: dict[str, int] = defaultdict(int)
        self._masks: dict[int, list[npt.NDArray[np.bool_]]] = defaultdict(list)

    def link(self, link: AnswerLink) -> dict[str, Any]:
        """What became of one link."""
        entry: dict[str, Any] = {"token": link.token, "decoder": link.decoder}
        try:
            result = link.result
        except ValueError as error:
            return entry | {"fault": str(error)}
        for mask in result.masks:
            self._masks[mask.picture].append(mask.pixels)
            file = self._saved("mask", mask_picture(mask.pixels))
            told = {"picture": mask.picture, "box": mask_box(mask.pixels), "score": round(mask.score, 3)}
            entry.setdefault("masks", []).append(told | {"file": file})
        if result.pictures:
            entry["pictures"] = [self._saved("picture", picture) for picture in result.pictures]
        if result.boxes:
            entry["boxes"] = [list(box) for box in result.boxes]
        return entry

    def overlays(self, link: AnswerLink) -> list[str]:
        """Every picture that has masks, with them."""
        seen = {picture.number: picture for picture in link.linker.pictures}
        return [
            self._saved("overlay", overlay(seen[number].picture(), masks))
            for number, masks in self._masks.items()
        ]

    def _saved(self, kind: str, picture: Any) -> str:
        self._counts[kind] += 1
        path = self._folder / f"{self._lead}_{kind}_{self._counts[kind]}.png"
        picture.save(path)
        return str(path)
