"""Key tables: how each layout names our parameters (facts 2.1, 2.2).

Inside a prefix the names agree unless a row says otherwise; narrower rows stand first.
"""

from __future__ import annotations

from collections.abc import Collection

from tessera.families.keymap import KeyMap, Rule
from tessera.models.config import Architecture

QKV = ("q", "k", "v")
VIT = "vision.layers.#."
BLOCK = "decoder.layers.#."


def _renamed(rows: dict[str, str]) -> list[Rule]:
    return [Rule((own,), (stored,)) for own, stored in rows.items()]


def _vision(prefix: str) -> list[Rule]:
    """InternViT as its authors store it: our names."""
    rows = {"vision.embeddings.": f"{prefix}embeddings.", "vision.layers.": f"{prefix}encoder.layers."}
    return _renamed(rows)


def _vision_transformers(prefix: str) -> list[Rule]:
    """InternViT in transformers: query, key and value apart."""
    theirs = f"{prefix}encoder.layer.#."
    fused = Rule((f"{VIT}attn.qkv.",), tuple(f"{theirs}attention.{letter}_proj." for letter in QKV))
    rows = {
        "vision.embeddings.class_embedding": f"{prefix}embeddings.cls_token",
        "vision.embeddings.position_embedding": f"{prefix}embeddings.position_embeddings",
        "vision.embeddings.patch_embedding.": f"{prefix}embeddings.patch_embeddings.projection.",
        f"{VIT}attn.proj.": f"{theirs}attention.projection_layer.",
        f"{VIT}attn.": f"{theirs}attention.",
        f"{VIT}norm1.": f"{theirs}layernorm_before.",
        f"{VIT}norm2.": f"{theirs}layernorm_after.",
        f"{VIT}ls1": f"{theirs}lambda_1",
        f"{VIT}ls2": f"{theirs}lambda_2",
        f"{VIT}mlp.": f"{theirs}mlp.",
    }
    return [fused, *_renamed(rows)]


def _connector(norm: str, first: str, second: str) -> list[Rule]:
    return _renamed({"connector.norm.": norm, "connector.linear_1.": first, "connector.linear_2.": second})


def _decoder(architecture: Architecture, body: str, head: str, head_width: int) -> list[Rule]:
    """A decoder whose parts lie under `body` and whose head is `head`."""
    if architecture == "internlm2":
        return _internlm2(body, head.replace("lm_head", "output"), head_width)
    rows = _renamed({"decoder.lm_head.": head, "decoder.": body})
    if architecture != "phi3":
        return rows
    queries = tuple(f"{BLOCK}self_attn.{letter}_proj." for letter in QKV)
    gate_up = tuple(f"{BLOCK}mlp.{name}_proj." for name in ("gate", "up"))
    return [
        Rule(queries, (f"{body}layers.#.self_attn.qkv_proj.",)),
        Rule(gate_up, (f"{body}layers.#.mlp.gate_up_proj.",)),
        *rows,
    ]


def _internlm2(body: str, head: str, head_width: int) -> list[Rule]:
    theirs = f"{body}layers.#."
    queries = tuple(f"{BLOCK}self_attn.{letter}_proj." for letter in QKV)
    rows = {
        f"{BLOCK}self_attn.o_proj.": f"{theirs}attention.wo.",
        f"{BLOCK}mlp.gate_proj.": f"{theirs}feed_forward.w1.",
        f"{BLOCK}mlp.down_proj.": f"{theirs}feed_forward.w2.",
        f"{BLOCK}mlp.up_proj.": f"{theirs}feed_forward.w3.",
        f"{BLOCK}input_layernorm.": f"{theirs}attention_norm.",
        f"{BLOCK}post_attention_layernorm.": f"{theirs}ffn_norm.",
        "decoder.embed_tokens.": f"{body}tok_embeddings.",
        "decoder.norm.": f"{body}norm.",
        "decoder.lm_head.": head,
    }
    return [Rule(queries, (f"{theirs}attention.wqkv.",), head_width), *_renamed(rows)]


OWN = KeyMap(_renamed({f"{part}.": f"{part}." for part in ("vision", "connector", "decoder")}))
"""Tessera's layout: the parameters' own names."""


def official_table(architecture: Architecture, head_width: int) -> KeyMap:
    """The OpenGVLab layout."""
    return KeyMap(
        [
            *_vision("vision_model."),
            *_connector("mlp1.0.", "mlp1.1.", "mlp1.3."),
            *_decoder(architecture, "language_model.model.", "language_model.lm_head.", head_width),
        ]
    )


def transformers_table(architecture: Architecture, keys: Collection[str] = ()) -> KeyMap:
    """transformers' layout: the tree of its modules, or the older one that `keys` show.

    Files on the hub were written before the tree changed; transformers renames them while loading.
    InternLM2 and 3 are LLaMA here, Phi-3 keeps its fused projections.
    """
    old = any(key.startswith("vision_tower.") for key in keys)
    root, body = ("", "language_model.model.") if old else ("model.", "model.language_model.")
    head = "language_model.lm_head." if old else "lm_head."
    connector = (f"{root}multi_modal_projector.{name}." for name in ("layer_norm", "linear_1", "linear_2"))
    known: Architecture = "phi3" if architecture == "phi3" else "llama"
    return KeyMap(
        [
            *_vision_transformers(f"{root}vision_tower."),
            *_connector(*connector),
            *_decoder(known, body, head, 0),
        ]
    )


def bare_vision_tables() -> tuple[KeyMap, ...]:
    """A released InternViT on its own, from its authors or in transformers' form."""
    return KeyMap(_vision("")), KeyMap(_vision_transformers(""))


def bare_decoder_table(architecture: Architecture, head_width: int) -> KeyMap:
    """A released language model on its own."""
    return KeyMap(_decoder(architecture, "model.", "lm_head.", head_width))
