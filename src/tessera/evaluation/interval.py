"""How sure an accuracy is: the Wilson score interval (Wilson 1927, JASA 22:209)."""

import math


def wilson_interval(right: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Bounds, 0..1, of a share estimated from `right` out of `total`; (0, 1) when nothing was asked.

    `z` is the normal quantile: 1.96 for 95 %. Raises ValueError when `right` is not within 0..total.

    >>> [round(bound, 3) for bound in wilson_interval(75, 100)]
    [0.657, 0.825]
    """
    if not 0 <= right <= total:
        raise ValueError(f"right: {right} is not within 0..{total}; count right answers out of all")
    if total == 0:
        return 0.0, 1.0
    share = right / total
    spread = z * math.sqrt(share * (1 - share) / total + (z / (2 * total)) ** 2)
    centre = share + z * z / (2 * total)
    scale = 1 + z * z / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
