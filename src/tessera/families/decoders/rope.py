"""Rotary positions in config files: `rope_scaling` of transformers 4, `rope_parameters` of 5."""

from typing import Any

from tessera.models.config import DecoderConfig
from tessera.nn.rope_scaling import RopeScaling
from tessera.runtime.json_file import require

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


def read_theta(config: dict[str, Any]) -> float:
    """Base of the rotation."""
    rope = config.get("rope_parameters") or {}
    return float(rope.get("rope_theta") or config.get("rope_theta") or 1e4)


def read_scaling(config: dict[str, Any], where: str) -> RopeScaling | None:
    """How positions are stretched, None for not at all. Raises ValueError for a kind that we do not have."""
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    kind = rope.get("rope_type") or rope.get("type") or "default"
    _refuse_parts(config, rope, where)
    if kind == "default":
        return None
    if kind not in KINDS:
        raise ValueError(f"{where}.rope_scaling is {kind!r}; this version reads {', '.join(KINDS)}")
    kind = KINDS[kind]
    if kind in ("linear", "dynamic"):
        return RopeScaling(kind=kind, factor=require(rope, "factor", f"{where}.rope_scaling"))
    trained = config.get("original_max_position_embeddings") or rope.get("original_max_position_embeddings")
    fields: dict[str, Any] = {name: rope[name] for name in NUMBERS if rope.get(name) is not None}
    fields |= {name: tuple(rope[name]) for name in LISTS if rope.get(name)}
    if kind == "longrope":
        for name in LISTS:
            require(fields, name, f"{where}.rope_scaling")
    # Phi-3's files name no stretch: it is the longest over the trained length.
    ratio = config.get("max_position_embeddings", 0) / trained if trained else 1.0
    factor = rope.get("factor") or ratio
    return RopeScaling(kind=kind, factor=factor, original_max_position_embeddings=trained, **fields)


def _refuse_parts(config: dict[str, Any], rope: dict[str, Any], where: str) -> None:
    part = rope.get("partial_rotary_factor", config.get("partial_rotary_factor"))
    if part not in (None, 1, 1.0):
        raise ValueError(f"{where}.partial_rotary_factor = {part}: only whole heads are rotated here")
    for key in ("mscale", "mscale_all_dim"):
        if rope.get(key):
            raise ValueError(f"{where}.rope_scaling.{key} = {rope[key]}: only attention_factor is read")
    if rope.get("truncate") is False:
        raise ValueError(f"{where}.rope_scaling.truncate = false: yarn's borders are whole channels here")


def scaling_fields(decoder: DecoderConfig) -> dict[str, Any]:
    """The scaling's own keys without its kind, {} for none."""
    scaling = decoder.rope_scaling
    if scaling is None:
        return {}
    named = {"factor", "attention_factor", *KIND_FIELDS.get(scaling.kind, ())}
    fields = scaling.model_dump(mode="json", include=named, exclude_none=True)
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
