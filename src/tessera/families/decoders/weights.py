"""Key tables of the language models: how the files of each kind name a decoder's parameters."""

from tessera.families.keymap import KeyRule, Stack, renamed
from tessera.models.config import DecoderKind

BLOCK = "decoder.layers.#."
QUERIES = tuple(f"{BLOCK}self_attn.{letter}_proj." for letter in "qkv")


def decoder_rules(
    kind: DecoderKind, body: str, head: str, head_width: int, experts: int = 0, fused: bool = False
) -> list[KeyRule]:
    """A decoder whose parts lie under `body` and whose head is `head`.

    `experts` of a block; of Qwen3-MoE they are `fused` where the files hold one tensor for all of them.
    """
    if kind == "internlm2":
        return _internlm2(body, head.replace("lm_head", "output"), head_width)
    if kind == "gpt_oss":
        return _gpt_oss(body, head, experts)
    if kind == "qwen3_moe":
        return _qwen3_moe(body, head, experts, fused)
    rows = renamed({"decoder.lm_head.": head, "decoder.": body})
    if kind != "phi3":
        return rows
    gate_up = tuple(f"{BLOCK}mlp.{name}_proj." for name in ("gate", "up"))
    return [
        KeyRule(QUERIES, (f"{body}layers.#.self_attn.qkv_proj.",)),
        KeyRule(gate_up, (f"{body}layers.#.mlp.gate_up_proj.",)),
        *rows,
    ]


def _qwen3_moe(body: str, head: str, experts: int, fused: bool) -> list[KeyRule]:
    """An expert has three matrices of its own; an expert's gate and up lie below each other in ours."""
    ours, theirs = f"{BLOCK}mlp.experts.", f"{body}layers.#.mlp.experts."
    rows = renamed(
        {f"{BLOCK}mlp.router.": f"{body}layers.#.mlp.gate.", "decoder.lm_head.": head, "decoder.": body}
    )
    if fused:
        stack = Stack(experts)
        names = (f"{name}_proj" for name in ("gate_up", "down"))
        return [*(KeyRule((f"{ours}{n}.weight",), (f"{theirs}{n}",), stack=stack) for n in names), *rows]
    both = tuple(f"{theirs}{e}.{name}_proj." for e in range(experts) for name in ("gate", "up"))
    down = tuple(f"{theirs}{e}.down_proj." for e in range(experts))
    return [KeyRule((f"{ours}gate_up_proj.",), both), KeyRule((f"{ours}down_proj.",), down), *rows]


def _gpt_oss(body: str, head: str, experts: int) -> list[KeyRule]:
    """One tensor for the experts of a block, inputs before outputs, gate and up taking turns, as in ours."""
    ours, theirs = f"{BLOCK}mlp.experts.", f"{body}layers.#.mlp.experts."
    rules = []
    for name in ("gate_up_proj", "down_proj"):
        rules += [
            KeyRule((f"{ours}{name}.weight",), (f"{theirs}{name}",), stack=Stack(experts, turned=True)),
            KeyRule((f"{ours}{name}.bias",), (f"{theirs}{name}_bias",), stack=Stack(experts)),
        ]
    return [*rules, *renamed({"decoder.lm_head.": head, "decoder.": body})]


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
        # No release has these: `published_kind` refuses to write them.
        f"{BLOCK}self_attn.visual.": f"{theirs}attention.visual.",
        "decoder.embed_tokens.": f"{body}tok_embeddings.",
        "decoder.norm.": f"{body}norm.",
        "decoder.lm_head.": head,
    }
    return [KeyRule(QUERIES, (f"{theirs}attention.wqkv.",), head_width), *renamed(rows)]
