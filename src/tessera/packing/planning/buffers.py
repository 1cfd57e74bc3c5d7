"""The published packer of InternVL 2.5 (docs/facts/training.md): no plan may need more packs than it does."""

from bisect import insort
from collections.abc import Sequence

BUFFERS = 20
"""Open packs, as in the published scripts."""


def least_packs(tokens: int, tiles: int, max_tokens: int, max_tiles: int) -> int:
    """Fewer packs can't hold so many tokens and tiles."""
    return max(-(-tokens // max_tokens), -(-tiles // max_tiles) if max_tiles else 0)


def buffer_packs(
    tokens: Sequence[int], tiles: Sequence[int], max_tokens: int, max_tiles: int, fewer_than: int
) -> list[list[int]] | None:
    """Each item in turn into the first open pack, by tiles descending, with room for it.

    The head leaves while its tiles are full and while the list is too long; a pack full of tokens leaves at
    once. None as soon as it is clear that there will not be fewer packs than `fewer_than`.
    """
    opened: list[tuple[int, int, int, list[int]]] = []  # minus tiles, age, tokens, items
    packs: list[list[int]] = []
    token_rest, tile_rest = sum(tokens), sum(tiles)
    for item, (size, count) in enumerate(zip(tokens, tiles, strict=True)):
        for place, (minus, _, held, _) in enumerate(opened):
            if count - minus <= max_tiles and held + size <= max_tokens:
                items = opened.pop(place)[3]
                break
        else:
            minus, held, items = 0, 0, []
        items.append(item)
        entry = (minus - count, item, held + size, items)
        leaving = [entry] if entry[2] == max_tokens else []
        if not leaving:
            insort(opened, entry)
        while opened and (0 < max_tiles == -opened[0][0] or len(opened) > BUFFERS):
            leaving.append(opened.pop(0))
        for minus, _, held, items in leaving:
            packs.append(items)
            token_rest, tile_rest = token_rest - held, tile_rest + minus
            if len(packs) + least_packs(token_rest, tile_rest, max_tokens, max_tiles) >= fewer_than:
                return None
    packs += [items for *_, items in opened]
    return packs if len(packs) < fewer_than else None
