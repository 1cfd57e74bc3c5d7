"""A diffusers pipeline as a decoder of links: states become its prompt, in the place of a text's embeddings.

diffusers is no dependency and is never imported: any object serves whose call takes `prompt_embeds` and gives
`images`. VisionLLM v2 drives Stable Diffusion 1.5 so (docs/facts/links.md).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import PIL.Image
import torch

from tessera.engine.links.decoders import LinkRequest, LinkResult
from tessera.runtime.shown import shown

Mapper = Callable[[torch.Tensor], torch.Tensor | Mapping[str, torch.Tensor]]
"""Embeddings [1, N, W] to those that a pipeline takes, or to several of its arguments by name."""
WIDTHS = (
    ("unet", "cross_attention_dim"),
    ("transformer", "joint_attention_dim"),
    ("transformer", "caption_channels"),
    ("transformer", "cross_attention_dim"),
    ("text_encoder", "hidden_size"),
)
"""Where pipelines say how wide their text embeddings are: part and entry of its config; the first counts."""


class PipelineDecoding:
    """Draws one picture for each link; a pipeline that takes `image` gets the question's first picture.

    pipeline: such as diffusers' StableDiffusionPipeline, opened and placed by its owner. mapper: between
    projected states and the pipeline, where a projection alone is not enough. seed: of the noise, the same
    for every picture; None draws anew. options: further arguments of every call, such as guidance_scale.
    """

    def __init__(
        self, pipeline: Any, mapper: Mapper | None = None, seed: int | None = None, **options: Any
    ) -> None:
        if not callable(pipeline):
            raise ValueError(f"pipeline = {shown(pipeline)}: give an opened pipeline, which can be called")
        self._takes = inspect.signature(pipeline.__call__).parameters
        if not any(p.kind is p.VAR_KEYWORD for p in self._takes.values()):
            for name in ("prompt_embeds", *options):
                if name not in self._takes:
                    raise ValueError(
                        f"{name}: {type(pipeline).__name__} takes no such argument; give another pipeline or "
                        "leave the option out"
                    )
        self.pipeline, self.mapper, self.seed, self.options = pipeline, mapper, seed, options

    def __call__(self, link: LinkRequest, /) -> LinkResult:
        """The picture. ValueError for states of another width than the pipeline's texts have."""
        given = dict(self.options)
        if "image" in self._takes and "image" not in given:
            if not link.pictures:
                raise ValueError(f"{link.token}: the pipeline changes a picture; the question has none")
            given["image"] = link.pictures[0].picture()
        if self.seed is not None:
            given["generator"] = torch.Generator().manual_seed(self.seed)
        made = self.pipeline(**self._prompt(link), **given)
        pictures = tuple(getattr(made, "images", ()))
        if not pictures or not all(isinstance(picture, PIL.Image.Image) for picture in pictures):
            raise ValueError(f"{link.token}: the pipeline gave no pictures; leave its output_type as it is")
        return LinkResult(pictures=pictures)

    def _prompt(self, link: LinkRequest) -> dict[str, torch.Tensor]:
        """Embeddings [1, N, W] where the pipeline lies, in its number format."""
        embeds = link.states[None]
        with torch.no_grad():
            mapped = embeds if self.mapper is None else self.mapper(embeds)
        named = {"prompt_embeds": mapped} if isinstance(mapped, torch.Tensor) else dict(mapped)
        wanted, width = text_width(self.pipeline), named["prompt_embeds"].shape[-1]
        if wanted is not None and width != wanted:
            raise ValueError(
                f"{link.token}: its states have {width} channels, the pipeline's texts {wanted}; declare the "
                f"link token with width {wanted}, or give a mapper"
            )
        place = getattr(self.pipeline, "device", "cpu"), getattr(self.pipeline, "dtype", torch.float32)
        return {name: tensor.to(*place) for name, tensor in named.items()}


def text_width(pipeline: Any) -> int | None:
    """Channels of a pipeline's text embeddings; None where it doesn't say."""
    for part, entry in WIDTHS:
        config = getattr(getattr(pipeline, part, None), "config", None)
        found = config.get(entry) if isinstance(config, Mapping) else getattr(config, entry, None)
        if isinstance(found, int):
            return found
    return None
