"""Pictures per second from encoded bytes to tiles: ours, the published recipe and transformers.

    python benchmarks/preprocessing.py [--shared ../shared/data/images] [--seconds 45] [--only receipt]

One process, one thread, processor time (so that a busy machine disturbs little), all routes interleaved
picture by picture, medians of the repeats. Pixels are compared first: `exact` must give the recipe's pixels
and `fast` may differ by one grey level. Ours is timed for two deliverables: uint8 tiles, which is what the
loader hands to the device, and the recipe's own, normalised float32. The last line is one JSON object.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Read when numpy and torch load, so before their import.
os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import numpy as np  # noqa: E402
import PIL  # noqa: E402
import PIL.Image  # noqa: E402
import torch  # noqa: E402

from tessera.imaging.decode import decode_image  # noqa: E402
from tessera.imaging.grid import Tiling  # noqa: E402
from tessera.imaging.tiles import Resize, cut_tiles  # noqa: E402

Route = Callable[[bytes], object]

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
SIDE, MAX_TILES = 448, 12
TILING = Tiling(tile_side=SIDE, max_tiles=MAX_TILES)
DEFAULT_IMAGES = Path(__file__).resolve().parents[2] / "shared" / "data" / "images"
PLAIN = "published recipe"


def published_recipe(data: bytes) -> torch.Tensor:
    """Facts 3.3 and 3.4 step by step: resize, crop, then each tile resized and normalised on its own."""
    picture = PIL.Image.open(io.BytesIO(data)).convert("RGB")
    columns, rows = _published_grid(*picture.size)
    whole = picture.resize((SIDE * columns, SIDE * rows))
    tiles = []
    for number in range(columns * rows):
        left, top = number % columns * SIDE, number // columns * SIDE
        tiles.append(whole.crop((left, top, left + SIDE, top + SIDE)))
    if len(tiles) != 1:
        tiles.append(picture.resize((SIDE, SIDE)))
    return torch.stack([_published_transform(tile) for tile in tiles])


def _published_grid(width: int, height: int) -> tuple[int, int]:
    grids = {(i, j) for i in range(1, MAX_TILES + 1) for j in range(1, MAX_TILES + 1) if i * j <= MAX_TILES}
    best, nearest = (1, 1), float("inf")
    for grid in sorted(grids, key=lambda grid: grid[0] * grid[1]):
        distance = abs(width / height - grid[0] / grid[1])
        if distance < nearest:
            best, nearest = grid, distance
        elif distance == nearest and width * height > 0.5 * SIDE * SIDE * grid[0] * grid[1]:
            best = grid
    return best


def _published_transform(tile: PIL.Image.Image) -> torch.Tensor:
    """What torchvision's Resize, ToTensor and Normalize do to a PIL tile, without torchvision."""
    tile = tile.resize((SIDE, SIDE), PIL.Image.Resampling.BICUBIC)
    tensor = torch.from_numpy(np.array(tile)).permute(2, 0, 1).contiguous().to(torch.float32).div(255)
    mean, std = torch.tensor(MEAN).view(-1, 1, 1), torch.tensor(STD).view(-1, 1, 1)
    return tensor.clone().sub_(mean).div_(std)


def ours(resize: Resize, normalised: bool) -> Route:
    """Bytes to uint8 tiles [N, S, S, 3], or on to the recipe's float32 [N, 3, S, S]."""
    scale = 1 / (255 * torch.tensor(STD).view(-1, 1, 1))
    shift = -torch.tensor(MEAN).view(-1, 1, 1) / torch.tensor(STD).view(-1, 1, 1)

    def tiles(data: bytes) -> np.ndarray:
        return cut_tiles(decode_image(data), TILING, resize)

    def tensor(data: bytes) -> torch.Tensor:
        cut = torch.from_numpy(tiles(data)).permute(0, 3, 1, 2)
        result = torch.empty(cut.shape, dtype=torch.float32)
        for source, target in zip(cut, result, strict=True):  # tile by tile: the second step finds it cached
            torch.mul(source, scale, out=target).add_(shift)
        return result

    return tensor if normalised else tiles


def transformers_processor() -> Route | None:
    """transformers' PIL processor for InternVL, or None where it is not installed."""
    try:
        from transformers import GotOcr2ImageProcessorPil
    except ImportError:
        return None
    processor = GotOcr2ImageProcessorPil(
        size={"height": SIDE, "width": SIDE},
        crop_to_patches=True,
        min_patches=1,
        max_patches=MAX_TILES,
        image_mean=list(MEAN),
        image_std=list(STD),
    )
    return lambda data: processor(PIL.Image.open(io.BytesIO(data)).convert("RGB"), return_tensors="pt")[
        "pixel_values"
    ]


def check(name: str, data: bytes) -> tuple[int, float]:
    """(largest grey-level difference of fast, share of differing values); stops unless exact is exact."""
    recipe = published_recipe(data)
    levels = recipe * torch.tensor(STD).view(1, -1, 1, 1) + torch.tensor(MEAN).view(1, -1, 1, 1)
    wanted = (levels * 255).round().to(torch.int16).permute(0, 2, 3, 1).numpy()
    exact = ours("exact", normalised=False)(data)
    if wanted.shape != exact.shape or not np.array_equal(wanted, exact):  # type: ignore[attr-defined]
        raise SystemExit(f"{name}: exact tiles differ from the published recipe")
    difference = np.abs(ours("fast", normalised=False)(data).astype(np.int16) - wanted)  # type: ignore[attr-defined]
    if difference.max() > 1:
        raise SystemExit(f"{name}: fast tiles differ by {difference.max()} grey levels")
    return int(difference.max()), float((difference > 0).mean())


def measure(
    routes: dict[str, Route], pictures: dict[str, bytes], seconds: float
) -> dict[str, dict[str, float]]:
    """Median processor seconds per route and picture, routes interleaved; at least three repeats."""
    times: dict[str, dict[str, list[float]]] = {route: {name: [] for name in pictures} for route in routes}
    deadline = time.monotonic() + seconds
    repeat = 0
    while repeat < 4 or (time.monotonic() < deadline and repeat < 30):
        for name, data in pictures.items():
            for route, run in routes.items():
                start = time.process_time()
                run(data)
                if repeat:  # the first round warms up
                    times[route][name].append(time.process_time() - start)
        repeat += 1
    print(f"{repeat - 1} repeats", flush=True)
    return {r: {n: statistics.median(t) for n, t in named.items()} for r, named in times.items()}


def report(medians: dict[str, dict[str, float]], fast_share: float) -> dict[str, object]:
    """The table on the screen and the object of the last line; ratios are sums over all pictures."""
    names = list(medians[PLAIN])
    print(f"{'ms a picture':34s}" + "".join(f"{route:>24s}" for route in medians))
    for name in names:
        print(f"{name:34s}" + "".join(f"{1000 * medians[route][name]:24.1f}" for route in medians))
    rates = {route: len(names) / sum(named.values()) for route, named in medians.items()}
    ratios = {route: rate / rates[PLAIN] for route, rate in rates.items()}
    worst = {route: min(medians[PLAIN][n] / medians[route][n] for n in names) for route in medians}
    for row, values in (("pictures/s", rates), ("times recipe", ratios), ("worst picture", worst)):
        print(f"{row:34s}" + "".join(f"{values[route]:24.2f}" for route in medians))
    return {
        "benchmark": "preprocessing",
        "pictures": len(names),
        "pictures_per_second": {route: round(rate, 2) for route, rate in rates.items()},
        "times_published_recipe": {route: round(ratio, 3) for route, ratio in ratios.items()},
        "worst_picture": {route: round(ratio, 3) for route, ratio in worst.items()},
        "exact_differs": 0,
        "fast_differs_by_at_most_one_level_in_share_of_values": round(fast_share, 5),
        "versions": {"pillow": PIL.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shared", type=Path, default=DEFAULT_IMAGES, help="folder of pictures")
    parser.add_argument("--seconds", type=float, default=45.0, help="time for the repeats")
    parser.add_argument("--only", default="", help="only pictures with this in their name")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    paths = sorted(p for p in arguments.shared.glob("*") if p.is_file() and arguments.only in p.name)
    if not paths:
        print(f"no pictures in {arguments.shared}: pass --shared FOLDER", file=sys.stderr)
        return 2
    pictures = {path.name: path.read_bytes() for path in paths}
    shares = [check(name, data)[1] for name, data in pictures.items()]
    print(f"{len(pictures)} pictures: exact equals the recipe, fast within one grey level", flush=True)
    routes: dict[str, Route] = {PLAIN: published_recipe}
    if (processor := transformers_processor()) is not None:
        routes["transformers PIL"] = processor
    routes["ours exact, uint8"] = ours("exact", normalised=False)
    routes["ours exact, normalised"] = ours("exact", normalised=True)
    routes["ours fast, uint8"] = ours("fast", normalised=False)
    routes["ours fast, normalised"] = ours("fast", normalised=True)
    print(json.dumps(report(measure(routes, pictures, arguments.seconds), statistics.mean(shares))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
