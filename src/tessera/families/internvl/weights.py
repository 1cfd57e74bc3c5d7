"""Key tables: how each layout names our parameters (docs/facts/key_names.md).

Inside a prefix the names agree unless a row says otherwise; narrower rows stand first.
"""

from collections.abc import Collection, Iterator

from tessera.families.decoders.experts import KINDS, is_fused
from tessera.families.decoders.weights import decoder_rules
from tessera.families.keymap import KeyMap, KeyRule, renamed
from tessera.models.config import DecoderConfig, DecoderKind

VIT = "vision.layers.#."


def _vision(prefix: str) -> list[KeyRule]:
    """InternViT as its authors store it: our names."""
    rows = {"vision.embeddings.": f"{prefix}embeddings.", "vision.layers.": f"{prefix}encoder.layers."}
    return renamed(rows)


def _vision_transformers(prefix: str) -> list[KeyRule]:
    """InternViT in transformers: query, key and value apart."""
    theirs = f"{prefix}encoder.layer.#."
    fused = KeyRule((f"{VIT}attn.qkv.",), tuple(f"{theirs}attention.{letter}_proj." for letter in "qkv"))
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
    return [fused, *renamed(rows)]


def _vision_classification(prefix: str) -> list[KeyRule]:
    """InternViT in the authors' code for classification and segmentation: timm's names
    (docs/facts/backbone.md)."""
    rows = {
        "vision.embeddings.class_embedding": f"{prefix}cls_token",
        "vision.embeddings.position_embedding": f"{prefix}pos_embed",
        "vision.embeddings.patch_embedding.": f"{prefix}patch_embed.proj.",
        f"{VIT}ls1": f"{prefix}blocks.#.ls1.gamma",
        f"{VIT}ls2": f"{prefix}blocks.#.ls2.gamma",
        VIT: f"{prefix}blocks.#.",
    }
    return renamed(rows)


def _connector(norm: str, first: str, second: str) -> list[KeyRule]:
    return renamed({"connector.norm.": norm, "connector.linear_1.": first, "connector.linear_2.": second})


def _forms() -> list[KeyRule]:
    """The second connector and the router of Flash models, as their authors store them."""
    attention = {
        f"router.pooling.attn#.in_proj.{leaf}": f"pooling_before_gating.attn#.in_proj_{leaf}"
        for leaf in ("weight", "bias")
    }
    places = {"norm": 0, "linear_1": 1, "linear_2": 4, "linear_3": 7}
    return renamed(
        {f"coarse.{name}.": f"mlp2.{place}." for name, place in places.items()}
        | attention
        | {"router.pooling.": "pooling_before_gating.", "router.gating.": "gating."}
    )


def official_table(
    kind: DecoderKind, head_width: int, experts: int = 0, keys: Collection[str] = ()
) -> KeyMap:
    """The OpenGVLab layout; `keys` tell whether experts are stored one by one."""
    return KeyMap(
        [
            *_vision("vision_model."),
            *_connector("mlp1.0.", "mlp1.1.", "mlp1.3."),
            *_forms(),
            *decoder_rules(
                *(kind, "language_model.model.", "language_model.lm_head.", head_width),
                *(experts, is_fused(keys)),
            ),
        ]
    )


def transformers_table(kind: DecoderKind, keys: Collection[str] = (), experts: int = 0) -> KeyMap:
    """transformers' layout: the tree of its modules, or the older one that `keys` show.

    Files on the hub were written before the tree changed; transformers renames them while loading.
    InternLM2 and 3 are LLaMA here, Phi-3 keeps its fused projections.
    """
    old = any(key.startswith("vision_tower.") for key in keys)
    root, body = ("", "language_model.model.") if old else ("model.", "model.language_model.")
    head = "language_model.lm_head." if old else "lm_head."
    connector = (f"{root}multi_modal_projector.{name}." for name in ("layer_norm", "linear_1", "linear_2"))
    known: DecoderKind = kind if kind in ("phi3", *KINDS) else "llama"
    return KeyMap(
        [
            *_vision_transformers(f"{root}vision_tower."),
            *_connector(*connector),
            *decoder_rules(known, body, head, 0, experts, is_fused(keys)),
        ]
    )


def part_tables(part: str, decoder: DecoderConfig | None, keys: Collection[str]) -> Iterator[KeyMap]:
    """Whole checkpoints of both layouts, and a released InternViT alone, from its authors (in chat models, or
    in classification and segmentation) or transformers."""
    kinds: list[DecoderKind] = [decoder.architecture, "llama"] if decoder else ["llama"]
    width, experts = (decoder.head_width, decoder.expert_count) if decoder else (0, 0)
    for kind in dict.fromkeys(kinds):
        yield official_table(kind, width, experts, keys)
        yield transformers_table(kind, keys, experts)
    if part == "vision":
        yield KeyMap(_vision(""))
        yield KeyMap(_vision_transformers(""))
        yield KeyMap(_vision_classification(""))
        yield KeyMap(_vision_classification("backbone."))


CARD_NAMES = (
    ("vision_model", "vision"),
    ("mlp1", "connector"),
    ("language_model.model.tok_embeddings", "decoder.embed_tokens"),
    ("language_model.model.embed_tokens", "decoder.embed_tokens"),
    ("language_model.model.norm", "decoder.norm"),
    ("language_model.output", "decoder.lm_head"),
    ("language_model.lm_head", "decoder.lm_head"),
    ("language_model.model.layers", "decoder.layers"),
)
"""(prefix in the model cards' device maps, own prefix)."""
