"""A trained dense head as a folder: what it is, and the weights that learned."""

from dataclasses import dataclass
from pathlib import Path

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.checkpoints.backbone.opening import open_vision
from tessera.checkpoints.files.shards import write_shards
from tessera.models.heads.segmenter import Segmenter
from tessera.runtime.json_file import Section, write_json
from tessera.runtime.shown import shown
from tessera.train.heads.dense.run import load_weights, make_segmenter, trained_weights
from tessera.train.heads.dense.settings import DenseConfig

CARD = "segmenter.json"


@dataclass(frozen=True)
class OpenSegmenter:
    """A head on its encoder, ready to be asked."""

    encoder: VisionEncoder
    model: Segmenter
    config: DenseConfig
    names: tuple[str, ...]
    """Of the classes."""


def save_segmenter(folder: Path, opened: OpenSegmenter, source: str | None) -> None:
    """Write the head, and the encoder's weights where they learned. source: how the encoder was named."""
    write_shards(folder, trained_weights(opened.model).items())
    said = {"classes": list(opened.names), "encoder": source, "config": opened.config.model_dump(mode="json")}
    write_json(
        folder / CARD, said | {"fingerprint": opened.encoder.fingerprint if opened.config.frozen else ""}
    )


def open_segmenter(
    folder: Path, encoder: str | None = None, device: str = "auto", dtype: str = "auto"
) -> OpenSegmenter:
    """Open a head on the encoder that it names, or on the same one at another place.

    ValueError for a folder that holds none, and for another encoder than the head learned on.
    """
    if not (folder / CARD).is_file():
        raise ValueError(f"{shown(folder)} holds no {CARD}: give the folder of `tessera segment train`")
    said = Section.of(folder / CARD)
    config = said.build(DenseConfig, **said.section("config").content)
    source = encoder or (said.text("encoder") if said.content.get("encoder") else None)
    opened = open_vision(source, device, dtype, linears=None if config.frozen else "plain")
    held = said.text("fingerprint", "")
    if config.frozen and dtype == "auto" and held != opened.fingerprint:
        raise ValueError(
            f"{shown(folder)}: the head learned on another encoder than {opened.name}; give that one"
        )
    model = make_segmenter(opened, config, len(names := said.texts("classes")))
    load_weights(model, folder)
    return OpenSegmenter(opened, model.eval(), config, names)
