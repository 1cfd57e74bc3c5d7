"""Rotary positions in config files: `rope_scaling` of transformers 4, `rope_parameters` of 5."""

from typing import Any

from tessera.models.config import DecoderConfig
from tessera.nn.rope_scaling import RopeScaling
from tessera.runtime.json_file import Section

KINDS = {name: name for name in ("linear", "dynamic", "llama3", "yarn", "longrope")} | {"su": "longrope"}
"""Names in files -> ours; Phi-3's first files say `su`."""
NUMBERS = ("attention_factor", "low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow")
LISTS = ("short_factor", "long_factor")
KIND_FIELDS = {
    "llama3": ("low_freq_factor", "high_freq_factor"),
    "yarn": ("beta_fast", "beta_slow"),
    "longrope": LISTS,
}
"""What a kind has beside the factor; these three also name the trained length."""


GPT_OSS_ROPE = RopeScaling(kind="yarn", factor=32.0, original_max_position_embeddings=4096, truncate=False)
"""What GPT-OSS's class takes where a file says nothing."""


def read_theta(config: Section, default: float = 1e4) -> float:
    """Base of the rotation."""
    rope = config.part("rope_parameters")
    return (rope if "rope_theta" in rope else config).number("rope_theta", default)


def read_scaling(config: Section, default: RopeScaling | None = None) -> RopeScaling | None:
    """How positions are stretched, None for not at all; `default` where no table is there.

    Raises ValueError for a kind that we do not have."""
    config = config.without_nulls("rope_scaling", "rope_parameters")
    rope = config.part("rope_parameters" if config.part("rope_parameters").content else "rope_scaling")
    rope = rope.without_nulls()
    name = "rope_type" if "rope_type" in rope else "type"
    kind = rope.text(name, "default")
    _refuse_parts(config, rope)
    if not rope.content:
        return default
    if kind == "default":
        return None
    if kind not in KINDS:
        raise rope.wrong(name, f"this version reads {', '.join(KINDS)}")
    kind = KINDS[kind]
    if kind in ("linear", "dynamic"):
        return rope.build(RopeScaling, kind=kind, factor=rope.number("factor"))
    fields: dict[str, Any] = {name: rope.number(name) for name in NUMBERS if name in rope}
    fields |= {name: rope.numbers(name) for name in LISTS if name in rope}
    if kind == "yarn":
        fields["truncate"] = rope.flag("truncate", True)
    if kind == "longrope" and (missing := [name for name in LISTS if not fields.get(name)]):
        raise rope.wrong(missing[0], "longrope needs a list of factors")
    return rope.build(RopeScaling, kind=kind, **_stretch(config, rope), **fields)


def _stretch(config: Section, rope: Section) -> dict[str, Any]:
    """Trained length and stretch; Phi-3's files name none: it is the longest over the trained length."""
    key = "original_max_position_embeddings"
    said = next((section for section in (config, rope) if key in section), None)
    if said is None:
        return {"factor": rope.number("factor", 1.0)}
    trained = said.whole(key)
    if trained < 2:
        raise said.wrong(key, "at least 2 positions are needed here")
    ratio = config.whole("max_position_embeddings", 0) / trained
    return {"factor": rope.number("factor", ratio), key: trained}


def _refuse_parts(config: Section, rope: Section) -> None:
    key = "partial_rotary_factor"
    said = rope if key in rope else config
    if said.number(key, 1.0) != 1.0:
        raise said.wrong(key, "only whole heads are rotated here")
    for key in ("mscale", "mscale_all_dim"):
        if rope.number(key, 0.0):
            raise rope.wrong(key, "only attention_factor is read")


def scaling_fields(decoder: DecoderConfig) -> dict[str, Any]:
    """The scaling's own keys without its kind, {} for none."""
    scaling = decoder.rope_scaling
    if scaling is None:
        return {}
    named = {"factor", "attention_factor", *KIND_FIELDS.get(scaling.kind, ())}
    fields = scaling.model_dump(mode="json", include=named, exclude_none=True)
    if not scaling.truncate:
        fields["truncate"] = False
    if scaling.kind in KIND_FIELDS:
        fields["original_max_position_embeddings"] = decoder.trained_length
    return fields


def rope_parameters(decoder: DecoderConfig) -> dict[str, Any]:
    """transformers 5's table."""
    kind = decoder.rope_scaling.kind if decoder.rope_scaling else "default"
    return {"rope_type": kind, "rope_theta": decoder.rope_theta, **scaling_fields(decoder)}


def rope_scaling(decoder: DecoderConfig) -> dict[str, Any] | None:
    """The older table, as the released configs write it; Phi-3's stretch follows from its two lengths."""
    scaling = decoder.rope_scaling
    if scaling is None:
        return None
    fields = scaling_fields(decoder)
    if scaling.kind == "longrope":
        trained = fields.pop("original_max_position_embeddings")
        if fields["factor"] == decoder.max_position_embeddings / trained:
            del fields["factor"]
        return {"type": "su", **fields}
    name = "type" if scaling.kind in ("linear", "dynamic") else "rope_type"
    return {name: scaling.kind, **fields}
