"""Every member of the series by name.

The tables are plain data: importing this file and listing all entries needs neither torch nor pydantic.
`get_family` builds the real configs of one member.
"""

from __future__ import annotations

import difflib
import re
from functools import cache
from typing import TYPE_CHECKING

from tessera.families import (
    internvl_1_1,
    internvl_1_2,
    internvl_1_5,
    internvl_2,
    internvl_2_5,
    internvl_3,
    internvl_3_5,
)
from tessera.families.entry import OWNER, Entry
from tessera.families.internvl.catalogue.refused import refusal

if TYPE_CHECKING:
    from tessera.chat.tokenizer import Tokenizer
    from tessera.families.family import Family
    from tessera.models.config import VLMConfig

TOYS = ("scale_model", "nano_model")
"""Sizes that were never published: the shipped model and a smaller one for tests (families/toy.py)."""
GENERATIONS = (
    internvl_1_1,
    internvl_1_2,
    internvl_1_5,
    internvl_2,
    internvl_2_5,
    internvl_3,
    internvl_3_5,
)


@cache
def entries() -> tuple[Entry, ...]:
    """Every released chat model, oldest generation first, variants of a size together."""
    return tuple(entry for generation in GENERATIONS for entry in generation.ENTRIES)


@cache
def _by_name() -> dict[str, Entry]:
    return {_key(entry.name): entry for entry in entries()}


def get_entry(name: str) -> Entry:
    """The entry of a name; owner, capitals and the `-hf` of the other layout do not matter.

    Raises ValueError with the reason for a published model that is not opened, else with the nearest names.
    """
    found = _by_name().get(_key(name)) or _by_name().get(_key(_without_hf(name)))
    if found is not None:
        return found
    reason = refusal(name.removeprefix(f"{OWNER}/"))
    if reason is not None:
        raise ValueError(f"model: {name} {reason}")
    near = nearest_names(name)
    hint = f"did you mean {', '.join(near)}?" if near else "`tessera models` lists the names"
    raise ValueError(f"model: {name!r} is not in the catalogue; {hint}")


def nearest_names(name: str, count: int = 3) -> tuple[str, ...]:
    """Names of the catalogue that look like this one, nearest first."""
    close = difflib.get_close_matches(_key(name), _by_name(), count, cutoff=0.6)
    return tuple(_by_name()[key].name for key in close)


def family_names() -> tuple[str, ...]:
    """All names that `get_family` knows."""
    return (*TOYS, *(entry.name for entry in entries()))


def get_family(name: str) -> Family:
    """The member of this name. Raises ValueError as `get_entry` does."""
    if name in TOYS:
        from tessera.families.internvl.catalogue import toy

        return toy.scale_model() if name == "scale_model" else toy.nano_model()
    return get_entry(name).family()


def fresh(name: str, tokenizer: Tokenizer) -> Family:
    """The member of this name, fitted to a tokenizer: what a model made from nothing is built from."""
    return get_family(name).fitted(tokenizer)


def identify(family: Family) -> Entry | None:
    """The released model that an opened checkpoint is, or None when no entry has its shapes and template.

    Models that differ in weights alone are told apart by `family.name`; where that does not help (a folder of
    another name), the one without a suffix and of the newest generation is taken.
    """
    alike = [entry for entry in entries() if _alike(entry, family)]
    if not alike:
        return None
    named = [entry for entry in alike if _key(entry.name) == _key(_without_hf(family.name))]
    plain = [entry for entry in alike if not entry.suffix]
    return max(named or plain or alike, key=lambda entry: _closeness(entry, family.model))


def _key(name: str) -> str:
    """Names compare without owner, capitals and the difference between "2.5" and "2_5"."""
    return name.removeprefix(f"{OWNER}/").lower().replace(".", "_")


def _without_hf(name: str) -> str:
    return re.sub("-hf$", "", name, flags=re.IGNORECASE)


def _alike(entry: Entry, family: Family) -> bool:
    """Same template, same shapes. The file format may differ: layouts of transformers know no InternLM2."""
    vision, decoder = family.model.vision, family.model.decoder
    ours, theirs = entry.vision, entry.language
    return (
        entry.template == family.template
        and entry.ps_version == family.model.ps_version
        and (ours.layers, ours.width, ours.inner)
        == (vision.num_hidden_layers, vision.hidden_size, vision.intermediate_size)
        and (theirs.layers, theirs.width, theirs.inner)
        == (decoder.num_hidden_layers, decoder.hidden_size, decoder.intermediate_size)
        and (theirs.heads, theirs.kv_heads) == (decoder.num_attention_heads, decoder.num_key_value_heads)
        and (theirs.qk_norm, theirs.biases) == (decoder.qk_norm, decoder.attention_bias)
    )


def _closeness(entry: Entry, model: VLMConfig) -> tuple[bool, bool, float]:
    """How well an alike entry fits in what releases of one shape differ in; the newest of equals wins."""
    scaling = model.decoder.rope_scaling
    kind = scaling.kind if scaling else None
    return (
        entry.language.vocabulary == model.decoder.vocab_size,
        entry.language.scaling.get("kind") == kind and entry.language.theta == model.decoder.rope_theta,
        float(entry.generation),
    )
