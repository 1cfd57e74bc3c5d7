"""A diffusers pipeline as a decoder, by an object with the same call: diffusers itself is not installed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import PIL.Image
import pytest
import torch

from tessera.checkpoints.load import load_checkpoint
from tessera.engine.chat_model import ChatModel
from tessera.engine.links.decoders import LinkRequest
from tessera.engine.links.pictures import PipelineDecoding
from tests.engine import linked, tiny


class StandIn:
    """As StableDiffusionPipeline: the arguments of its call that matter here, and where widths stand."""

    device, dtype = torch.device("cpu"), torch.bfloat16

    def __init__(self, width: int = 5) -> None:
        self.unet = SimpleNamespace(config={"cross_attention_dim": width})
        self.calls: list[dict[str, Any]] = []

    def __call__(
        self,
        prompt: str | list[str] | None = None,
        height: int | None = None,
        width: int | None = None,
        num_inference_steps: int = 50,
        guidance_scale: float = 7.5,
        negative_prompt: str | None = None,
        generator: torch.Generator | None = None,
        prompt_embeds: torch.Tensor | None = None,
        negative_prompt_embeds: torch.Tensor | None = None,
        output_type: str = "pil",
    ) -> Any:
        if (prompt is None) == (prompt_embeds is None):
            raise ValueError("give prompt or prompt_embeds")
        self.calls.append(locals())
        size = (width or 8, height or 8)
        images = [PIL.Image.new("RGB", size, "red")] if output_type == "pil" else [torch.zeros(1)]
        return SimpleNamespace(images=images, nsfw_content_detected=None)


class Editing(StandIn):
    """As InstructPix2Pix: it wants a picture, too."""

    def __call__(self, image: PIL.Image.Image, prompt_embeds: torch.Tensor) -> Any:  # type: ignore[override]
        self.calls.append({"image": image})
        return SimpleNamespace(images=[image])


def request(pictures: tuple[Any, ...] = ()) -> LinkRequest:
    return LinkRequest("[GEN]", torch.arange(30.0).view(6, 5), pictures)


def test_states_are_the_prompt() -> None:
    pipeline = StandIn()
    decode = PipelineDecoding(pipeline, seed=3, guidance_scale=2.0, height=16, width=24)
    (picture,) = decode(request()).pictures
    (call,) = pipeline.calls
    assert picture.size == (24, 16) and call["guidance_scale"] == 2.0
    assert call["prompt_embeds"].shape == (1, 6, 5) and call["prompt_embeds"].dtype == torch.bfloat16
    assert torch.equal(call["prompt_embeds"][0].float(), request().states)
    decode(request())
    first, again = (torch.rand(2, generator=call["generator"]) for call in pipeline.calls)
    assert torch.equal(first, again), "the same seed gives the same noise"


def test_a_mapper_may_give_several_arguments() -> None:
    pipeline = StandIn(width=10)
    decode = PipelineDecoding(
        pipeline, mapper=lambda x: {"prompt_embeds": x.repeat(1, 1, 2), "negative_prompt_embeds": x * 0}
    )
    decode(request())
    assert pipeline.calls[0]["prompt_embeds"].shape == (1, 6, 10)
    assert not pipeline.calls[0]["negative_prompt_embeds"].any()


def test_what_does_not_fit() -> None:
    with pytest.raises(ValueError, match="states have 5 channels, the pipeline's texts 768; declare"):
        PipelineDecoding(StandIn(768))(request())
    with pytest.raises(ValueError, match="guidance: StandIn takes no such argument"):
        PipelineDecoding(StandIn(), guidance=2.0)
    with pytest.raises(ValueError, match="the pipeline gave no pictures"):
        PipelineDecoding(StandIn(), output_type="latent")(request())
    with pytest.raises(ValueError, match="pipeline = 'name': give an opened pipeline"):
        PipelineDecoding("name")
    with pytest.raises(ValueError, match="the pipeline changes a picture; the question has none"):
        PipelineDecoding(Editing())(request())


def test_pictures_of_an_answer(tmp_path: Any) -> None:
    model = ChatModel(load_checkpoint(linked.saved(tmp_path / "model")))
    pipeline = Editing()
    model.register_decoder("pictures", PipelineDecoding(pipeline))
    bias = {linked.tokenizer().token_id("[GEN]"): 100.0}
    answer = model.chat("make it night", tiny.picture(1, 30, 20), logit_bias=bias, max_new_tokens=7)
    (picture,) = answer.links[0].result.pictures
    assert picture.size == (30, 20) and pipeline.calls[0]["image"].size == (30, 20)
