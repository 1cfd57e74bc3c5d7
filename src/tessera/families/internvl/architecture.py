"""InternVL 1.1 to 3.5: InternViT, pixel shuffle with an MLP, and one of six kinds of decoder."""

from tessera.families.architecture import Architecture
from tessera.families.internvl.config import official, transformers
from tessera.families.internvl.config.shapes import encoder_by_shapes
from tessera.families.internvl.weights import CARD_NAMES, part_tables
from tessera.models.config import VLMConfig

INTERNVL = Architecture(
    name="internvl",
    config=VLMConfig,
    layouts={"official": official, "transformers": transformers},
    encoders={
        official.ENCODER_TYPE: official.read_encoder,
        transformers.ENCODER_TYPE: transformers.read_encoder,
    },
    encoder_by_shapes=encoder_by_shapes,
    card_names=CARD_NAMES,
    part_tables=part_tables,
)
