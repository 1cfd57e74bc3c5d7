"""Rotary positions in config files: `rope_scaling` of transformers 4, `rope_parameters` of 5."""

from __future__ import annotations

from typing import Any

from tessera.models.config import DecoderConfig
from tessera.nn.rope_scaling import RopeScaling
from tessera.runtime.json_file import require

KINDS = {name: name for name in ("linear", "dynamic", "llama3", "yarn", "longrope")} | {"su": "longrope"}
"""Names in files -> ours; Phi-3's first files say `su`."""
WITH_TRAINED_LENGTH = ("llama3", "yarn", "longrope")
NUMBERS = ("attention_factor", "low_freq_factor", "high_freq_factor", "beta_fast", "beta_slow")
LISTS = ("short_factor", "long_factor")


def read_theta(config: dict[str, Any], default: float = 1e4) -> float:
    """Base of the rotation."""
    rope = config.get("rope_parameters") or {}
    return float(rope.get("rope_theta") or config.get("rope_theta") or default)


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
    factor = rope.get("factor") or _ratio(config, trained)
    return RopeScaling(kind=kind, factor=factor, original_max_position_embeddings=trained, **fields)


def _ratio(config: dict[str, Any], trained: int | None) -> float:
    """The stretch of files that name none: longest over trained length (Phi-3)."""
    return float(config.get("max_position_embeddings", 0)) / trained if trained else 1.0


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
    fields: dict[str, Any] = {"factor": scaling.factor}
    if scaling.kind == "longrope":
        fields |= {name: list(getattr(scaling, name)) for name in LISTS}
    if scaling.kind == "llama3":
        fields |= {name: getattr(scaling, name) for name in ("low_freq_factor", "high_freq_factor")}
    if scaling.kind == "yarn":
        fields |= {name: getattr(scaling, name) for name in ("beta_fast", "beta_slow")}
    if scaling.attention_factor is not None:
        fields["attention_factor"] = scaling.attention_factor
    if scaling.kind in WITH_TRAINED_LENGTH:
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
