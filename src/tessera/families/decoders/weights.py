"""Key tables of the language models: how the files of each kind name a decoder's parameters."""

from tessera.families.keymap import KeyRule, renamed
from tessera.models.config import DecoderKind

BLOCK = "decoder.layers.#."
QUERIES = tuple(f"{BLOCK}self_attn.{letter}_proj." for letter in "qkv")


def decoder_rules(kind: DecoderKind, body: str, head: str, head_width: int) -> list[KeyRule]:
    """A decoder whose parts lie under `body` and whose head is `head`."""
    if kind == "internlm2":
        return _internlm2(body, head.replace("lm_head", "output"), head_width)
    rows = renamed({"decoder.lm_head.": head, "decoder.": body})
    if kind != "phi3":
        return rows
    gate_up = tuple(f"{BLOCK}mlp.{name}_proj." for name in ("gate", "up"))
    return [
        KeyRule(QUERIES, (f"{body}layers.#.self_attn.qkv_proj.",)),
        KeyRule(gate_up, (f"{body}layers.#.mlp.gate_up_proj.",)),
        *rows,
    ]


def _internlm2(body: str, head: str, head_width: int) -> list[KeyRule]:
    theirs = f"{body}layers.#."
    rows = {
        f"{BLOCK}self_attn.o_proj.": f"{theirs}attention.wo.",
        f"{BLOCK}mlp.gate_proj.": f"{theirs}feed_forward.w1.",
        f"{BLOCK}mlp.down_proj.": f"{theirs}feed_forward.w2.",
        f"{BLOCK}mlp.up_proj.": f"{theirs}feed_forward.w3.",
        f"{BLOCK}mlp_visual.gate_proj.": f"{theirs}feed_forward_ve.w1.",
        f"{BLOCK}mlp_visual.down_proj.": f"{theirs}feed_forward_ve.w2.",
        f"{BLOCK}mlp_visual.up_proj.": f"{theirs}feed_forward_ve.w3.",
        f"{BLOCK}input_layernorm.": f"{theirs}attention_norm.",
        f"{BLOCK}post_attention_layernorm.": f"{theirs}ffn_norm.",
        "decoder.embed_tokens.": f"{body}tok_embeddings.",
        "decoder.norm.": f"{body}norm.",
        "decoder.lm_head.": head,
    }
    return [KeyRule(QUERIES, (f"{theirs}attention.wqkv.",), head_width), *renamed(rows)]
