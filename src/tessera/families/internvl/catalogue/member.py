"""One released InternVL model: a ViT, a language model, and how the two were put together."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any, Literal

from tessera.families.entry import Entry, LanguageModel, VisionModel
from tessera.models.config import VLMConfig

Initial = tuple[float, float, float]
"""Layer scale, deviation of weights and drop path that a released vision config writes down."""


def member(
    base: str,
    generation: str,
    vision: VisionModel,
    language: LanguageModel,
    *,
    initial: Initial = (1.0, 0.02, 0.0),
    ps_version: Literal["v1", "v2"] = "v2",
    select_layer: int = -1,
    **fields: Any,
) -> Entry:
    """The entry of a model; `fields` are those of `Entry`."""
    factor, spread, drop_path = initial
    written = {"initializer_factor": factor, "initializer_range": spread, "drop_path_rate": drop_path}
    model = VLMConfig(
        vision=vision.config.model_copy(update=written),
        decoder=language.config,
        image_token_id=language.image_token,
        select_layer=select_layer,
        ps_version=ps_version,
    )
    return Entry(
        base=base,
        generation=generation,
        architecture="internvl",
        vision=vision,
        language=language,
        model=model,
        **fields,
    )


def stages(members: Iterable[Entry], *suffixes: str) -> Iterator[Entry]:
    """Each model after every stage of its training, the last under the plain name; `-hf` holds that alone."""
    for model in members:
        yield from (replace(model, suffix=suffix, transformers_repository="") for suffix in suffixes)
        yield model
