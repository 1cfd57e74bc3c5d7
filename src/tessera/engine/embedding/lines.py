"""Lines of a text file that people made: UTF-8, with or without a mark at its beginning."""

from collections.abc import Iterator
from pathlib import Path

from tessera.runtime.shown import shown


def lines_of(file: Path) -> Iterator[str]:
    """Line by line, without its end. ValueError naming a file that cannot be read."""
    try:
        with file.open(encoding="utf-8-sig") as lines:
            for line in lines:
                yield line.removesuffix("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{shown(file)} cannot be read ({shown(error)}); give a file in UTF-8") from error
