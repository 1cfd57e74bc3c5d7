"""Released shapes with random weights, drawn where they are used, for the benchmarks on a GPU."""

from __future__ import annotations

import torch
from inference_checkpoint import family_of

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints.shipped import shipped_folder
from tessera.families.family import Family
from tessera.models.initialise import without_memory
from tessera.models.vlm import VLM

NOMINAL = {"NVIDIA H200": (989.0, 4.8), "NVIDIA H100 80GB HBM3": (989.0, 3.35)}
"""Dense bfloat16 TFLOP/s and TB/s of a device, as its maker says."""


def drawn(shape: str, device: torch.device) -> tuple[VLM, Family, Tokenizer]:
    """A model in bfloat16 with the shipped tokenizer. Nothing of it is ever on the host."""
    tokenizer = load_tokenizer(shipped_folder("tokenizer"))
    family = family_of(shape, tokenizer)
    with without_memory():
        model = VLM(family.model)
    model.to(torch.bfloat16).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.dim() == 1:
                weight.fill_(0.0 if name.endswith("bias") else 1.0)
            else:
                spread = 0.5 if "embed" in name else weight[0].numel() ** -0.5
                weight.normal_(0.0, spread, generator=generator)
    return model, family, tokenizer


def read_bytes(model: VLM) -> int:
    """Bytes of weights that a token's step reads: the decoder's without the embedding's other rows."""
    decoder = model.decoder
    held = {id(weight): weight for weight in (*decoder.layers.parameters(), decoder.lm_head.weight)}
    return sum(weight.numel() * weight.element_size() for weight in held.values())


def wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
