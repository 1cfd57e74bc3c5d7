"""What both published layouts share: config.json while it is read, and our section in it.

The section holds what neither layout's own config has words for; other engines do not read it.
"""

from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.families.architecture import Reading, StoredGrid
from tessera.families.catalogue import get_entry, identify
from tessera.families.decoders.config import read_decoder
from tessera.families.entry import Entry
from tessera.families.family import Family
from tessera.families.keymap import KeyMap
from tessera.models.config import DecoderConfig, VLMConfig
from tessera.runtime.json_file import Section

CONFIG_FILE = "config.json"
SECTION = "tessera"
SNAPSHOTS = "snapshots"
HEAD = "decoder.lm_head.weight"
TIED = "tie_word_embeddings"
KEPT = ("frame_label", "frames", "content_tokens", "visual_increment")
"""Fields of `Family` that stand in our section alone."""


class ConfigFile:
    """A folder's config.json while it is read; `notes` takes what is odd about it.

    `keys` are the tensors in the folder's files, empty when unknown.
    """

    def __init__(self, folder: Path, tokenizer: Tokenizer, keys: Collection[str]) -> None:
        self.tokenizer, self.keys = tokenizer, keys
        self.content = Section.of(folder / CONFIG_FILE).without_nulls("template", "force_image_size")
        self.section = self.content.part(SECTION)
        self.name = _name_of(folder, self.content, self.section)
        self.known = _catalogue_entry(self.name)
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        """Write down an oddity and what is made of it."""
        self.notes.append(f"{self.content.where}: {text}")

    def decoder(
        self, part: str, table: Callable[[DecoderConfig], KeyMap], said: dict[str, Any], tied: bool
    ) -> tuple[DecoderConfig, KeyMap]:
        """The decoder in `part`, its head tied if `tied` and no second matrix is stored; and the key table.

        `said`: flag in the file -> its value. Raises ValueError naming key and remedy.
        """
        decoder = read_decoder(self.content.section(part))
        keymap = table(decoder)
        head = keymap.group(HEAD).stored[0]
        flags = [name for name, value in said.items() if value]
        if flags and head in self.keys:
            self.note(f"{flags[0]} is true but {head} is stored: both matrices are used")
        original = self.section.text("architecture", decoder.architecture)
        update = {TIED: tied and head not in self.keys, "architecture": original}
        return self.section.build(DecoderConfig, **decoder.model_dump() | update), keymap

    def reading(self, keymap: KeyMap, stored_grid: StoredGrid | None = None, **fields: Any) -> Reading:
        """The member with these fields of `Family`, its frames named as we wrote, else as in the release."""
        family = self.content.build(Family, name=self.name, **fields)
        kept = {key: value for key, value in self.section.content.items() if key in KEPT}
        if not self.section.content and (entry := self.known or identify(family)):
            kept = {"frame_label": entry.frame_label}
        family = self.section.build(Family, **dict(family) | kept)
        return Reading(family, keymap, tuple(self.notes), stored_grid=stored_grid)


def kept_section(family: Family) -> dict[str, Any]:
    """Under its key, what neither the official nor transformers' config can say about a family."""
    model = internvl(family)
    section = {
        **family.model_dump(mode="json", include={"name", "template", "system_text", *KEPT}),
        "architecture": model.decoder.architecture,
        "tiling": family.tiling.model_dump(mode="json", exclude={"tile_side"}),
        **model.vision.model_dump(include={"drop_path_rate", "initializer_range", "initializer_factor"}),
    }
    return {SECTION: section}


def _name_of(folder: Path, config: Section, section: Section) -> str:
    """The model's name: what we wrote, else a name of the catalogue, else the folder's.

    Released configs hold a folder of the authors' cluster as `_name_or_path`, so that comes last.
    """
    if name := section.text("name", ""):
        return name
    place = folder.absolute()
    if place.parent.name == SNAPSHOTS:  # in the hub's cache, where the folder's own name is a commit
        place = Path(place.parent.parent.name.rpartition("--")[2])
    candidates = [place.name, Path(str(config.content.get("_name_or_path") or "")).name]
    known = [entry.name for name in candidates if (entry := _catalogue_entry(name))]
    return (known or candidates)[0]


def _catalogue_entry(name: str) -> Entry | None:
    """The catalogue's entry of this name, with or without transformers' `-hf`."""
    try:
        return get_entry(name)
    except ValueError:
        return None


def internvl(family: Family) -> VLMConfig:
    """The model's config; ValueError for a family of another architecture."""
    if not isinstance(family.model, VLMConfig):
        raise ValueError(f"{family.name} is a model of {family.architecture}: this layout is InternVL's")
    return family.model
