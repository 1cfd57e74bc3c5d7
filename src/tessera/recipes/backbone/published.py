"""Published settings of heads on InternViT-6B (docs/facts/backbone.md)."""

from collections.abc import Mapping

from tessera.train.heads.dense.settings import DenseConfig
from tessera.train.heads.probe_run import ProbeConfig

PROBES: Mapping[str, ProbeConfig] = {
    "linear": ProbeConfig(),
    "attention": ProbeConfig(head="attention"),
}
"""The first is that of 88.2 on ImageNet-1K. Runs on 64 GPUs also kept a mean of the weights, `ema` 0.998 over
12,510 steps, which a shorter run would not outlast."""


def _few(steps: int, warmup: int) -> DenseConfig:
    """Linear head and encoder together, on a part of the pictures."""
    return DenseConfig(
        layers=(-1,),
        frozen=False,
        drop_path=0.4,
        layer_decay=0.95,
        weight_decay=0.05,
        steps=steps,
        warmup=warmup,
    )


SEGMENTERS: Mapping[str, DenseConfig] = {
    "linear": DenseConfig(),
    "upernet": DenseConfig(head="upernet", weight_decay=0.05, beside=1),
    "full": DenseConfig(
        head="upernet", frozen=False, drop_path=0.4, layer_decay=0.95, weight_decay=0.05, beside=2
    ),
    "few-1-16": _few(5_000, 100),
    "few-1-8": _few(10_000, 200),
    "few-1-4": _few(20_000, 400),
    "few-1-2": _few(40_000, 800),
    "few-1-1": _few(80_000, 1_500),
}
"""mIoU on ADE20K with InternViT-6B-224px: 47.2, 54.9, 58.9; 46.5, 50.0, 53.3, 55.8, 57.2."""
