"""Tiles per second and core, from encoded bytes to tiles: ours, the published recipe and transformers.

    python benchmarks/loading.py [--shared ../shared/data/images] [--seconds 60]

Two sets: JPEGs from 720p to 4K, upright too, made of a photo, a screenshot and a page; and the pictures of
the folder as they are. One process, one thread, processor time (so that a busy machine disturbs little),
routes by turns, medians of the repeats. Pixels are compared first: `exact` must give
the recipe's uint8 tiles and, normalised, its float32 tensor in every value; `fast` may differ by one grey
level. Each end is compared with its like: uint8 tiles, which our loader hands to the device, and normalised
float32, which the peers make. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# Read when numpy and torch load, so before their import.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import loading_routes as routes
import numpy as np
import PIL
import PIL.Image
import torch

from tessera.imaging.decode import decode_image
from tessera.imaging.grid import count_tiles

Route = Callable[[bytes], object]
Medians = dict[str, dict[str, float]]

DEFAULT_IMAGES = Path(__file__).resolve().parents[2] / "shared" / "data" / "images"
SOURCES = ("red_panda_1920x1200.jpg", "screenshot_desktop_2560x1440.jpg", "doc_math_1920x2640.jpg")
SIZES = ((1280, 720), (1920, 1080), (2560, 1440), (3840, 2160), (1080, 1920), (2160, 3840))
RECIPE, RECIPE_BYTES, DECODE = "recipe, floats", "recipe, uint8", "decode alone"
EXACT_BYTES, EXACT_FLOATS = "ours exact, uint8", "ours exact, floats"


def make_jpegs(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every source at every size, encoded at quality 90."""
    for source in SOURCES:
        with PIL.Image.open(folder / source) as opened:
            picture = opened.convert("RGB")
        for width, height in SIZES:
            stream = io.BytesIO()
            picture.resize((width, height), PIL.Image.Resampling.LANCZOS).save(stream, "JPEG", quality=90)
            yield f"{source.split('_')[0]} {width}x{height}", stream.getvalue()


def all_routes() -> dict[str, Route]:
    found: dict[str, Route] = {RECIPE: routes.published_recipe, RECIPE_BYTES: routes.published_bytes}
    if (processor := routes.transformers_processor()) is not None:
        found["transformers PIL, floats"] = processor
    found[EXACT_BYTES], found[EXACT_FLOATS] = routes.our_bytes("exact"), routes.our_floats("exact")
    found["ours fast, uint8"] = routes.our_bytes("fast")
    found[DECODE] = decode_image
    return found


def check(name: str, data: bytes, peer: routes.FloatTiles | None) -> float:
    """Share of values in which `fast` is one level off; stops unless everything else is equal."""
    wanted = routes.published_bytes(data)
    if not np.array_equal(wanted, routes.our_bytes("exact")(data)):
        raise SystemExit(f"{name}: exact tiles differ from the published recipe")
    floats = routes.our_floats("exact")(data)
    if not torch.equal(routes.published_recipe(data), floats):
        raise SystemExit(f"{name}: exact floats differ from the published recipe")
    # transformers orders its operations otherwise: equal levels, floats to 1e-5.
    if peer is not None and not _close(peer(data), floats):
        print(f"{name}: transformers' tiles differ from the published recipe's and ours")
    difference = np.abs(routes.our_bytes("fast")(data).astype(np.int16) - wanted)
    if difference.max() > 1:
        raise SystemExit(f"{name}: fast tiles differ by {difference.max()} grey levels")
    return float((difference > 0).mean())


def _close(theirs: torch.Tensor, floats: torch.Tensor) -> bool:
    return theirs.shape == floats.shape and torch.allclose(theirs, floats, rtol=0, atol=1e-5)


def measure(found: dict[str, Route], pictures: dict[str, bytes], seconds: float) -> Medians:
    """Median processor seconds per route and picture; at least three repeats, in each all routes by turns.

    A route takes all pictures in a row, as a loader does: so none inherits the other's memory.
    """
    times: dict[str, dict[str, list[float]]] = {route: {name: [] for name in pictures} for route in found}
    deadline = time.monotonic() + seconds
    repeat = 0
    while repeat < 4 or (time.monotonic() < deadline and repeat < 30):
        for route, run in found.items():
            for name, data in pictures.items():
                start = time.process_time()
                run(data)
                if repeat:  # the first round warms up
                    times[route][name].append(time.process_time() - start)
        repeat += 1
    print(f"{repeat - 1} repeats", flush=True)
    return {r: {n: statistics.median(t) for n, t in named.items()} for r, named in times.items()}


def report(medians: Medians, tiles: dict[str, int]) -> dict[str, object]:
    """The table on the screen and the object of the last line; ratios are sums over all pictures."""
    print(f"{'ms a picture':34s}" + "".join(f"{route:>25s}" for route in medians))
    for name, count in tiles.items():
        row = f"{name} ({count})"
        print(f"{row:34s}" + "".join(f"{1000 * named[name]:25.1f}" for named in medians.values()))
    total = sum(tiles.values())
    rates = {route: total / sum(named.values()) for route, named in medians.items()}
    summary: dict[str, object] = {"pictures": len(tiles), "tiles": total}
    summary["tiles_per_second_per_core"] = {route: round(rate, 1) for route, rate in rates.items()}
    for base in [route for route in medians if not route.startswith(("ours", DECODE))]:
        ratios = {route: round(rates[route] / rates[base], 2) for route in medians}
        worst = {r: round(min(medians[base][n] / medians[r][n] for n in tiles), 2) for r in medians}
        summary[f"times {base}"], summary[f"times {base}, worst picture"] = ratios, worst
    for row, values in summary.items():
        if isinstance(values, dict):
            print(f"{row[:33]:34s}" + "".join(f"{value:25.2f}" for value in values.values()))
    return summary


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=DEFAULT_IMAGES, help="folder of pictures")
    parser.add_argument("--seconds", type=float, default=60.0, help="time for the repeats of both sets")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if not all((arguments.shared / source).is_file() for source in SOURCES):
        print(f"no {', '.join(SOURCES)} in {arguments.shared}: pass --shared FOLDER", file=sys.stderr)
        return 2
    real = {p.name: p.read_bytes() for p in sorted(arguments.shared.glob("*")) if p.is_file()}
    found, peer = all_routes(), routes.transformers_processor()
    results: dict[str, object] = {"benchmark": "loading"}
    for title, pictures in (("jpegs", dict(make_jpegs(arguments.shared))), ("folder", real)):
        shares = [check(name, data, peer) for name, data in pictures.items()]
        print(f"{title}: {len(pictures)} pictures, exact is equal in every value, fast within one level")
        sizes = {name: decode_image(data).size for name, data in pictures.items()}
        tiles = {name: count_tiles(*size, routes.TILING) for name, size in sizes.items()}
        summary = report(measure(found, pictures, arguments.seconds / 2), tiles)
        results[title] = summary | {"fast_off_by_one": round(statistics.mean(shares), 5)}
    versions = {"pillow": PIL.__version__, "torch": torch.__version__, "numpy": np.__version__}
    print(json.dumps(results | {"versions": versions}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
