"""Every released member by name. The tables are configs and words: listing them needs no torch."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING, Any

from tessera.families.entry import OWNER, Component, Entry, Released
from tessera.families.internvl import catalogue as internvl
from tessera.families.internvl_g import catalogue as internvl_g
from tessera.families.llava import catalogue as llava
from tessera.families.mono import catalogue as mono
from tessera.families.omni import catalogue as omni
from tessera.models.config import ModelConfig

if TYPE_CHECKING:
    from tessera.chat.tokenizer import Tokenizer
    from tessera.families.family import Family

FORMS = ("-hf", "-AWQ")
"""transformers' layout, and linears in 4 bits."""
CATALOGUES = (llava, internvl, internvl_g, mono, omni)
"""The catalogue of every family folder."""


@cache
def entries() -> tuple[Entry, ...]:
    """Every released chat model, oldest generation first, variants of a size together."""
    return tuple(entry for catalogue in CATALOGUES for entry in catalogue.ENTRIES)


@cache
def components() -> tuple[Component, ...]:
    """Every released model that does not chat."""
    return tuple(component for catalogue in CATALOGUES for component in catalogue.COMPONENTS)


def released() -> tuple[Released, ...]:
    """Chat models, then the others."""
    return (*entries(), *components())


@cache
def _by_name() -> dict[str, Released]:
    return {_key(entry.name): entry for entry in released()}


def get_released(name: str) -> Released:
    """What was released under a name; owner, capitals, and the `-hf` and `-AWQ` of other forms do not matter.

    Raises ValueError with the reason for a published model that is not opened, else with the nearest names.
    """
    found = _by_name().get(_key(name)) or _by_name().get(_key(_without_form(name)))
    if found is not None:
        return found
    require_openable(f"{OWNER}/{name.removeprefix(f'{OWNER}/')}")
    near = nearest_names(name)
    hint = f"did you mean {', '.join(near)}?" if near else "`tessera models` lists the names"
    raise ValueError(f"model: {name!r} is not in the catalogue; {hint}")


def get_entry(name: str) -> Entry:
    """The chat model of a name. Raises ValueError as `get_released` does, and for what does not chat."""
    found = get_released(name)
    if isinstance(found, Entry):
        return found
    assert isinstance(found, Component)
    raise ValueError(f"model: {found.name} is a {found.kind}, which does not chat; it opens so: {found.use}")


def require_openable(name: str) -> None:
    """ValueError with the reason for a published model, given as owner/name, that is not opened as a whole
    one."""
    owner, _, short = name.partition("/")
    if owner.lower() == OWNER.lower() and (reason := refusal(short)):
        raise ValueError(f"model: {short} {reason}")
    found = _by_name().get(_key(name))
    if isinstance(found, Component) and found.purpose == "vision encoder":
        raise ValueError(f"model: {found.name} is a ViT alone, which does not chat; it opens so: {found.use}")


def refusal(name: str) -> str | None:
    """Why a published model, named without its owner, is not opened; None when nothing is against it."""
    return next((reason for catalogue in CATALOGUES if (reason := catalogue.refusal(name))), None)


def nearest_names(name: str, count: int = 3) -> tuple[str, ...]:
    """Names of the catalogue that look like this one, nearest first."""
    close = difflib.get_close_matches(_key(name), _by_name(), count, cutoff=0.6)
    return tuple(_by_name()[key].name for key in close)


def get_family(name: str) -> Family:
    """The member of this name. Raises ValueError as `get_entry` does."""
    for catalogue in CATALOGUES:
        if name in catalogue.TOYS:
            return catalogue.TOYS[name]()
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
    named = [entry for entry in alike if _key(entry.name) == _key(_without_form(family.name))]
    plain = [entry for entry in alike if not entry.suffix]
    return max(named or plain or alike, key=lambda entry: _closeness(entry, family.model))


def _key(name: str) -> str:
    """Names compare without owner, capitals and the difference between "2.5" and "2_5"."""
    return name.removeprefix(f"{OWNER}/").lower().replace(".", "_")


def form_in(name: str) -> str:
    """The end of a name that stands for another form of the same model: -hf, -AWQ, or none."""
    return next((form for form in FORMS if name.lower().endswith(form.lower())), "")


def _without_form(name: str) -> str:
    return name[: len(name) - len(form_in(name))]


SHAPING = {
    *("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads"),
    *("num_key_value_heads", "qk_norm", "attention_bias", "ps_version", "count", "top_k"),
}
"""Fields of configs that tell models of different shapes apart, at any depth. The decoder's file format is
left out: layouts of transformers know no InternLM2."""


def _alike(entry: Entry, family: Family) -> bool:
    """Same template, same shapes."""
    same_prompt = (entry.architecture, entry.template) == (family.architecture, family.template)
    return same_prompt and _shape(entry.model.model_dump()) == _shape(family.model.model_dump())


def _shape(values: dict[str, Any]) -> dict[str, Any]:
    nested = {name: _shape(value) for name, value in values.items() if isinstance(value, dict)}
    return nested | {name: value for name, value in values.items() if name in SHAPING}


def _closeness(entry: Entry, model: ModelConfig) -> tuple[bool, bool, float]:
    """How well an alike entry fits in what releases of one shape differ in; the newest of equals wins."""
    ours, theirs = entry.model.decoder, model.decoder
    kinds = [decoder.rope_scaling.kind if decoder.rope_scaling else None for decoder in (ours, theirs)]
    return (
        ours.vocab_size == theirs.vocab_size,
        kinds[0] == kinds[1] and ours.rope_theta == theirs.rope_theta,
        float(entry.generation),
    )
