"""Language-model configs of the eight published kinds, read and written (docs/facts/models.md).

The arithmetic follows from the numbers alone; the kind says how the files are laid out.
"""

from collections.abc import Set
from pathlib import Path
from typing import Any

from tessera.families.decoders.experts import expert_kind, read_experts, write_experts
from tessera.families.decoders.rope import GPT_OSS_ROPE, read_scaling, read_theta
from tessera.models.config import DecoderConfig, DecoderKind
from tessera.runtime.json_file import Section
from tessera.runtime.shown import shown

CONFIG_FILE, TIED = "config.json", "tie_word_embeddings"
HEADS = {"lm_head.weight", "output.weight"}
"""Names of the output head in a language model's own files."""
CLASSES: dict[str, DecoderKind] = {
    "LlamaForCausalLM": "llama",
    "InternLM2ForCausalLM": "internlm2",
    "InternLM3ForCausalLM": "internlm3",
    "Qwen2ForCausalLM": "qwen2",
    "Qwen3ForCausalLM": "qwen3",
    "Phi3ForCausalLM": "phi3",
    "Qwen3MoeForCausalLM": "qwen3_moe",
    "GptOssForCausalLM": "gpt_oss",
}
"""`architectures` of a nested config -> kind; `model_type` is the kind's own name."""
CLASS_OF = {kind: name for name, kind in CLASSES.items()}
BIAS_KEY: dict[str, str] = {
    "llama": "attention_bias",
    "internlm3": "qkv_bias",
    **dict.fromkeys(("qwen3", "qwen3_moe", "gpt_oss"), "attention_bias"),
}
"""Where a kind says whether query, key and value have biases; Qwen2 always has, the others never."""
EXPERTS = "InternLM2VEForCausalLM"
"""The class of InternLM2 with visual experts."""
SIZES = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
"""What every config has to say, under the same names here and there."""
NULLS = (
    *("architectures", "rope_scaling", "rope_parameters", "partial_rotary_factor"),
    *("head_dim", "sliding_window", "num_key_value_heads"),
)
"""Keys that transformers writes as null where they are not set."""
EPS = {"phi3": 1e-5, "gpt_oss": 1e-5}
LENGTH = {"llama": 2048, "internlm2": 2048, "phi3": 4096, "gpt_oss": 131072}
HEAD_WIDTH = {"qwen3": 128, "gpt_oss": 64}
THETA = {"gpt_oss": 150000.0}
"""What the classes take for keys that a file leaves out, where it is not 1e-6 and 32768."""


def _kind_of(config: Section) -> DecoderKind:
    names, model_type = config.texts("architectures"), config.text("model_type", "")
    kind = CLASSES.get(names[0], "") if names else model_type
    if _has_visual_experts(config):
        kind = "internlm2"
    if kind not in CLASS_OF:
        raise ValueError(
            f"{config.where}: architectures = {shown(names[0]) if names else 'null'}, model_type = "
            f"{shown(model_type)} cannot be opened; this version reads {', '.join((*CLASSES, EXPERTS))}"
        )
    return kind  # type: ignore[return-value]  # the test above


def _has_visual_experts(config: Section) -> bool:
    """By the class, else by the type that the training script knows beside `internlm2`."""
    names = config.texts("architectures")
    return names[0] == EXPERTS if names else config.text("model_type", "") == "internlm2ve"


def read_decoder(config: Section) -> DecoderConfig:
    """The decoder of a nested config, its head untied; keys that change nothing are not read.

    Raises ValueError naming file, key and remedy.
    """
    config = config.without_nulls(*NULLS)
    kind = _kind_of(config)
    _refuse(config, kind)
    sizes = {name: config.whole(name) for name in SIZES}
    heads, width = sizes["num_attention_heads"], sizes["hidden_size"]
    usual = width // max(heads, 1)
    head_dim = config.whole("head_dim", HEAD_WIDTH.get(kind, usual))
    return config.build(
        DecoderConfig,
        **sizes,
        architecture=kind,
        num_key_value_heads=config.whole("num_key_value_heads", heads),
        head_dim=None if head_dim == usual else head_dim,
        rms_norm_eps=config.number("rms_norm_eps", EPS.get(kind, 1e-6)),
        rope_theta=read_theta(config, THETA.get(kind, 1e4)),
        attention_bias=kind == "qwen2"
        or (kind in BIAS_KEY and config.flag(BIAS_KEY[kind], kind == "gpt_oss")),
        qk_norm=kind in ("qwen3", "qwen3_moe"),
        visual_experts=_has_visual_experts(config),
        max_position_embeddings=config.whole("max_position_embeddings", LENGTH.get(kind, 32768)),
        rope_scaling=read_scaling(config, GPT_OSS_ROPE if kind == "gpt_oss" else None),
        **read_experts(config, kind),
    )


def read_language_model(folder: Path, keys: Set[str]) -> DecoderConfig:
    """The decoder in the folder of a language model alone, `keys` being the tensors in its files.

    Tied where its config says so and no head is stored. Raises ValueError naming file, key and remedy.
    """
    config = Section.of(folder / CONFIG_FILE)
    decoder = read_decoder(config)
    tied = config.flag(TIED) and keys.isdisjoint(HEADS)
    return decoder.model_copy(update={TIED: tied})


def _refuse(config: Section, kind: DecoderKind) -> None:
    """Settings that would change the numbers and that the decoder does not have."""
    if config.text("hidden_act", "silu") != "silu":
        raise config.wrong("hidden_act", "the decoder has only 'silu'")
    for key in ("mlp_bias", "bias") if kind in ("internlm2", "internlm3") else ("mlp_bias",):
        if config.flag(key):
            raise config.wrong(key, "such biases are not supported; no release has them")
    window, longest = config.whole("sliding_window", 0), config.whole("max_position_embeddings", 0)
    key = "use_sliding_window" if config.flag("use_sliding_window") else "sliding_window"
    if key == "use_sliding_window" or (kind == "phi3" and window and window < longest):
        raise config.wrong(key, "attention within a window is not supported; no release uses it")


def published_kind(decoder: DecoderConfig) -> DecoderKind:
    """The kind whose class computes what the decoder computes: its own, where that class has its biases.

    Raises ValueError when no class has them.
    """
    if found := expert_kind(decoder):
        return found
    if decoder.visual_attention:
        raise ValueError("visual_attention: no published files have names for it; use Tessera's own layout")
    if decoder.visual_experts and (
        decoder.attention_bias or decoder.qk_norm or decoder.architecture != "internlm2"
    ):
        raise ValueError(
            f"visual_experts with files of {decoder.architecture}: the published class has them for "
            "InternLM2 alone; use another layout"
        )
    if decoder.qk_norm:
        if decoder.attention_bias:
            raise ValueError("attention_bias with qk_norm: no published class has both; use another layout")
        return "qwen3"
    if decoder.attention_bias:
        return "internlm3" if decoder.architecture == "internlm3" else "qwen2"
    biasless = ("llama", "internlm2", "internlm3", "phi3")
    return decoder.architecture if decoder.architecture in biasless else "llama"


def write_decoder(decoder: DecoderConfig, kind: DecoderKind, ids: dict[str, Any]) -> dict[str, Any]:
    """A nested config for the class of `kind`, without its rotary keys; `ids`: eos, bos and pad."""
    names = {*SIZES, "num_key_value_heads", "rms_norm_eps", "max_position_embeddings", "rope_theta"}
    section: dict[str, Any] = {
        "architectures": [EXPERTS if decoder.visual_experts else CLASS_OF[kind]],
        "model_type": kind,
        "hidden_act": "silu",
        **decoder.model_dump(include=names),
        "head_dim": decoder.head_width,
        "tie_word_embeddings": False,
        **ids,
    }
    if kind in BIAS_KEY:
        section[BIAS_KEY[kind]] = decoder.attention_bias
    if kind in ("internlm2", "internlm3"):
        section["bias"] = False
    if kind == "qwen2":
        section["use_sliding_window"] = False
    if kind == "phi3":
        section["original_max_position_embeddings"] = decoder.trained_length
    return section | write_experts(decoder, kind)
