"""`tessera inspect PICTURE`: how a picture becomes tiles and tokens, in words and as a picture."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, PictureSource, ask
from tessera.cli.command import CountingCommand, ReportingCommand
from tessera.imaging.decode import decode_image, name_of, read_size
from tessera.imaging.grid import choose_grid, count_tiles
from tessera.imaging.montage import draw_montage
from tessera.imaging.pictures.reading import PUBLISHED, PictureReading
from tessera.imaging.pictures.sources import picture_source


@dataclass(frozen=True, kw_only=True)
class InspectCommand(CountingCommand, ReportingCommand):
    """Show the grid, the tiles, the token count and the prompt that a picture gets; no weights are read."""

    picture: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PICTURE")]
    """The picture: a file, a data: address or base64."""
    question: str = "Describe the picture."
    """The words that go with it."""
    max_tiles: int | None = None
    """Most tiles of the grid; the model's own by default."""
    pictures: PictureReading = PUBLISHED
    """How picture files become RGB."""
    out: Path = Path("inspect.png")
    """Where the picture of the tiles is written."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.out: False}

    def run(self) -> int:
        self.at_least(max_tiles=1)
        family, tokenizer = self.described()
        if self.max_tiles is not None:
            tiling = family.tiling.limited(self.max_tiles, "--max-tiles")
            family = family.model_copy(update={"tiling": tiling})
        encoder = replace(family.encoder(tokenizer), pictures=self.pictures)
        found = inspect(picture_source(self.picture), encoder, family.name, self.question, self.out)
        self.tell(lambda: found, lambda: show(found))
        return 0


def inspect(
    picture: PictureSource, encoder: Encoder, family: str, question: str, out: Path
) -> dict[str, Any]:
    """Measure a picture as the model would get it and write its montage to `out`.

    Sizes are in pixels, the grid is in columns and rows.
    """
    tiling = encoder.tiling
    width, height = read_size(picture, reading=encoder.pictures)
    columns, rows = choose_grid(width, height, tiling)
    tiles = count_tiles(width, height, tiling)
    conversation = Conversation((ask(question, images=[picture]),))
    montage = draw_montage(decode_image(picture, reading=encoder.pictures), tiling)
    try:
        montage.save(out)
    except (OSError, ValueError) as error:
        raise ValueError(
            f"--out {out}: cannot be written ({error}); name a .png file in a folder that is there"
        ) from error
    return {
        "picture": str(picture) if isinstance(picture, str | Path) else name_of(picture),
        "width": width,
        "height": height,
        "family": family,
        "columns": columns,
        "rows": rows,
        "tile_side": tiling.tile_side,
        "tiles": tiles,
        "thumbnail": tiles > columns * rows,
        "tokens_per_tile": encoder.tokens_per_tile,
        "picture_tokens": tiles * encoder.tokens_per_tile,
        "prompt_tokens": len(encoder.encode(conversation, generate=True).ids),
        "prompt": encoder.render_text(conversation, generate=True),
        "notes": encoder.picture_notes(conversation),
        "shown_in": str(out),
    }


def show(found: dict[str, Any]) -> None:
    """The findings as lines."""
    rows = {
        "picture": "{picture}, {width} x {height} pixels",
        "model": "{family}",
        "grid": "{columns} x {rows} tiles of {tile_side} px{extra} = {tiles}",
        "picture tokens": "{tiles} x {tokens_per_tile} = {picture_tokens}",
        "prompt tokens": "{prompt_tokens}",
        "shown in": "{shown_in}",
    }
    extra = " + thumbnail" if found["thumbnail"] else ""
    for name, value in rows.items():
        print(f"{name:<16}{value.format(**found, extra=extra)}")
    for note in found["notes"]:
        print(f"{'note':<16}{note}")
    print(f"prompt\n{found['prompt']}")
