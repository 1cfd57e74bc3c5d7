"""What cutting a picture into tiles may cost, from sizes alone: refused before any work begins."""

MOST_BYTES = 2**30
"""Memory that one picture may take: itself, tables of the resize, what lies between its passes, tiles."""
RGB = 4
"""Bytes of a pixel as Pillow keeps it."""


def check_cost(width: int, height: int, grid: tuple[int, int], side: int, thumbnail: bool) -> None:
    """ValueError when a picture of this size in pixels can't be cut into this grid in MOST_BYTES.

    grid: columns and rows. side: of a tile, in pixels.
    """
    # Tilings are listed without numpy, which comes with the first picture.
    from tessera.imaging.fast_resize.resample import working_bytes

    columns, rows = grid
    tiles = columns * rows
    sizes = [(columns * side, rows * side), *([(side, side)] if thumbnail and tiles > 1 else [])]
    resize = max(working_bytes((width, height), size) for size in sizes)
    # The resized picture stands beside the tiles that are cut from it.
    needed = RGB * width * height + resize + 2 * 3 * (tiles + 1) * side * side
    if needed > MOST_BYTES:
        raise ValueError(
            f"a picture of {width}x{height} pixels in {tiles} tiles of {side} px needs {needed >> 20:,} MiB, "
            f"more than {MOST_BYTES >> 20:,}: sides, pixels and tiles together; scale it down or cut it first"
        )
