"""Tessera: the InternVL series, end to end, in one readable package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import torch

    from tessera.align.test_time.model import SelectingModel
    from tessera.chat.message import Audio, Video
    from tessera.checkpoints.backbone.encoder import VisionEncoder
    from tessera.engine.chat_model import ChatModel
    from tessera.engine.pair.model import PairModel
    from tessera.engine.pipeline.config import GenerationConfig
    from tessera.engine.pipeline.pipe import Pipeline
    from tessera.imaging.pictures.reading import PictureReading

__version__ = "0.1.0"
__all__ = ["Audio", "ChatModel", "GenerationConfig", "PairModel", "Video", "load", "load_vision", "pipeline"]


def load(
    name_or_folder: str | Path | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    load_in_8bit: bool = False,
    load_in_4bit: bool = False,
    device_map: str | Mapping[str, str | int] | None = None,
    merge_lora: bool = False,
    adapter: str | Path | None = None,
    frame_label: str | None = None,
    pictures: PictureReading | Mapping[str, Any] | None = None,
    content_tokens: str | Sequence[str] | None = None,
    **unknown: Any,
) -> SelectingModel:
    """Open a chat model of the series in any published layout; None is the small one that ships here.

    name_or_folder: a checkpoint folder; or a name such as "OpenGVLab/InternVL3-1B", looked up in the local
    hub cache and then downloaded. dtype: "auto" is the stored one (float16 becomes bfloat16 on a CPU).
    load_in_8bit, load_in_4bit: weights of ViT and decoder blocks in few bits, on any device; 4 move answers
    more; checkpoints that are stored so (`tessera quantize`, AWQ) need neither. On a CPU bfloat16 models also
    get their head in 8. device_map: layers over several
    devices: "auto" by free memory, "split" as on the model cards, or a table of module to device; one device
    is used where there are not several, with a note. merge_lora: merge LoRA matrices of the checkpoint.
    adapter: a folder with a LoRA adapter as PEFT saves it, which is merged into this base model.
    frame_label: words before video frames, "training", "cards" or a pattern such as "Frame {index}: ".
    pictures: how files become RGB where the published way loses something, such as {"orientation": "exif"},
    {"transparency": "white"} or {"depth": "picture"}.
    content_tokens: special strings that questions and answers may hold as tokens and that answers show:
    "added" (the default: those behind the picture tokens), "all" but the turn markers, or a list of names.

    What was opened is the one line `repr(model)`, also logged at INFO by the logger "tessera". Raises
    ValueError naming file, key and remedy for a checkpoint that cannot be opened. docs/open.md has examples.

    A folder of 1.0's contrastive pair opens as a `PairModel`, which embeds and captions (docs/pair.md).
    """
    from tessera.align.test_time.model import SelectingModel
    from tessera.engine.pair.opening import open_what_it_is

    return open_what_it_is(
        name_or_folder,
        SelectingModel,
        unknown,
        device=device,
        dtype=dtype,
        load_in_8bit=load_in_8bit,
        load_in_4bit=load_in_4bit,
        device_map=device_map,
        merge_lora=merge_lora,
        adapter=adapter,
        frame_label=frame_label,
        pictures=pictures,
        content_tokens=content_tokens,
    )


def load_vision(
    name_or_folder: str | Path | None = None,
    device: str | torch.device = "auto",
    dtype: str | torch.dtype = "auto",
    *,
    config: Mapping[str, Any] | None = None,
) -> VisionEncoder:
    """Open an InternViT as a backbone: pictures to patch features of any layer, at any resolution.

    name_or_folder: a ViT alone or any model that has one, as a folder, as a name such as
    "OpenGVLab/InternViT-300M-448px-V2_5", or as one file of weights (.pth of the code for classification);
    None is the small one that ships here. dtype: "auto" is the stored one (float16 becomes bfloat16 on a
    CPU). config: fields such as num_attention_heads for a file of weights that has no config.json beside it.

        vit = tessera.load_vision("OpenGVLab/InternViT-300M-448px-V2_5")
        found = vit("cat.jpg", size=(448, 896), layers=(-4, -1))
        found.patches        # [1, 32, 64, 1024]
        found.layers[-4]     # the same, three layers below
        found.pooler_output  # [1, 1024], the class token

    Raises ValueError naming file, key and remedy for what cannot be opened. docs/backbone.md has more.
    """
    from tessera.checkpoints.backbone.opening import open_vision

    return open_vision(name_or_folder, device, dtype, config=config)


def pipeline(model_path: str | Path | None = None, **options: Any) -> Pipeline:
    """LMDeploy's pipeline on a model of the series (docs/offline.md); None is the small one that ships here.

    options: those of `load`. LMDeploy's own (`backend_config` and the like) are errors that say what is done
    here. Raises ValueError as `load` does.
    """
    from tessera.engine.pipeline.pipe import Pipeline, own_options

    return Pipeline(load(model_path, **own_options(options)))


def __getattr__(name: str) -> Any:
    """Classes, imported when they are asked for."""
    from importlib import import_module

    places = {
        "Audio": "tessera.chat.message",
        "Video": "tessera.chat.message",
        "ChatModel": "tessera.engine.chat_model",
        "PairModel": "tessera.engine.pair.model",
        "GenerationConfig": "tessera.engine.pipeline.config",
    }
    if name not in places:
        raise AttributeError(f"module 'tessera' has no attribute {name!r}")
    return getattr(import_module(places[name]), name)
