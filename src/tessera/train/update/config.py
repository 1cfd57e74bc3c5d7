"""Settings of the optimizer, as a field of a stage."""

from typing import Annotated, Literal

from pydantic import Field

from tessera.runtime.config import Config

Beta = Annotated[float, Field(ge=0, lt=1)]


class OptimizerConfig(Config):
    """AdamW as published; `muon` hands the matrices of blocks and connector to torch.optim.Muon."""

    kind: Literal["adamw", "muon"] = "adamw"
    betas: tuple[Beta, Beta] = (0.9, 0.999)
    eps: float = Field(default=1e-8, gt=0, allow_inf_nan=False)
    clip: float | None = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Largest norm of the whole gradient; None leaves gradients alone."""
    muon_rate: float = Field(default=1.0, gt=0, allow_inf_nan=False)
    """Muon's rate as a multiple of the rule's rate; its steps are scaled to AdamW's usual size."""
    ema: float | None = Field(default=None, gt=0, lt=1)
    """Decay of an exponential mean of the trained weights, for example 0.999: it is saved beside the model of
    the stage, in a folder that ends in `_ema`, and begins anew in every stage. None keeps no mean."""
    offload: bool = False
    """Keep masters and memory in the host's memory; they visit the device part by part in the step."""
