"""Points of DriveLM's mosaic of six cameras back into the camera's own picture."""

import json
import re

_MARK = re.compile(r"<c[^,]*,\s*[^,]*,\s*\[\s*-?[0-9]*\.?[0-9]+\s*,\s*-?[0-9]*\.?[0-9]+\s*\]\s*>")
_PLACES = {
    **{"CAM_FRONT_LEFT": (0, 0), "CAM_FRONT": (1, 0), "CAM_FRONT_RIGHT": (2, 0)},
    **{"CAM_BACK_LEFT": (0, 1), "CAM_BACK": (1, 1), "CAM_BACK_RIGHT": (2, 1)},
}
_COLUMNS, _ROWS = 3, 2
_TILE_WIDE, _TILE_HIGH = 896, 448
_WIDE, _HIGH = 1600, 900


def restore_cameras(text: str) -> str:
    """Every `<c1,CAM_FRONT,[x, y]>` in thousandths of the mosaic as `<c1,CAM_FRONT,x,y>` in camera pixels.

    One decimal, cut at the picture's border. Marks of other cameras stay as they are, also those with a space
    before the camera, as published (official `drivelm/evaluate.py`).
    """
    text = text.strip()
    for mark in _MARK.findall(text):
        name, camera, *numbers = mark.replace("<", "").replace(">", "").split(",")
        if camera not in _PLACES:
            continue
        try:
            x, y = json.loads(",".join(numbers))
        except ValueError:  # `.5` and `00` are no JSON: the published script leaves them too
            continue
        column, row = _PLACES[camera]
        x = _pixel(x, _COLUMNS * _TILE_WIDE, column * _TILE_WIDE, _TILE_WIDE, _WIDE)
        y = _pixel(y, _ROWS * _TILE_HIGH, row * _TILE_HIGH, _TILE_HIGH, _HIGH)
        text = text.replace(mark, f"<{name},{camera},{x},{y}>")
    return text


def _pixel(value: float, whole: int, start: int, tile: int, side: int) -> float:
    return round(max(0, min(side, ((value / 1000) * whole - start) / tile * side)), 1)
