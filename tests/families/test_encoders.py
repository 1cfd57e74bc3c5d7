"""Vision encoders of the catalogue: counts against the modules and what was published, and their use."""

from __future__ import annotations

import pytest

from tessera.families.catalogue import components, get_entry, get_released
from tessera.families.entry import Component
from tessera.families.internvl.catalogue.vision_models import EncoderAlone
from tessera.models.initialise import without_memory
from tessera.models.vision.internvit import VisionTransformer
from tests.families.test_counts import fits, numbers

ENCODERS = [one for one in components() if one.purpose == "vision encoder"]


def test_every_release_is_there() -> None:
    assert {one.name.removeprefix("InternViT-") for one in ENCODERS} == {
        *("6B-224px", "6B-448px-V1-0", "6B-448px-V1-2", "6B-448px-V1-5", "6B-448px-V2_5"),
        *("300M-448px-Distill", "300M-448px", "300M-448px-V2_5"),
    }


@pytest.mark.parametrize("one", ENCODERS, ids=lambda one: one.name)
def test_counts(one: Component) -> None:
    assert isinstance(one.model, EncoderAlone)
    with without_memory():
        module = VisionTransformer(one.model.vision)
    assert one.parameters() == {"vision": numbers(module), "total": numbers(module)}
    assert fits(one.published.total, numbers(module)) and one.published.source


def test_a_name_leads_to_its_use() -> None:
    assert get_released("OpenGVLab/InternViT-300M-448px-V2.5").name == "InternViT-300M-448px-V2_5"
    assert get_released("InternViT-6B-448px-V1-0").doubts == ("num_hidden_layers",)
    with pytest.raises(ValueError, match="does not chat; it opens so: tessera.load_vision"):
        get_entry("InternViT-300M-448px")
