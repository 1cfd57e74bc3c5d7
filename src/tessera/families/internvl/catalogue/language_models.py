"""Every language model that stands in a chat model, as its nested `llm_config` describes it
(docs/facts/models.md and docs/facts/tokens.md).

Numbers come from released config.json files: of the chat models themselves where we saw them (InternVL2-8B,
InternVL2-26B, InternVL3-1B, InternVL3_5-8B, the head of InternVL-Chat-V1-2), else of the language model they
start from (Hermes-2-Theta-Llama-3-70B, Nous-Hermes-2-Yi-34B, internlm2_5-20b-chat with theta 5e7 and dynamic
x 2.5, internlm3-8b-instruct, Phi-3-mini-128k-instruct, Qwen2.5, Qwen3). What no file told us is named in
`unverified`. A checkpoint's own config.json always wins; these tables make models without one and check our
reading.

Rows of the vocabulary: the tokens of the tokenizer and the nine that InternVL adds, padding rows dropped
(`resize_token_embeddings(len(tokenizer))`). Qwen2 knows 151,646 tokens and gets 151,655; Qwen2.5 151,665 and
151,674. Yi already has `<img>` (68) and `</img>` (70): seven are added, `<IMG_CONTEXT>` comes first. InternVL
3.5 keeps Qwen3's 151,936 padded rows, its nine tokens follow the 151,669 known ones. GPT-OSS knows 200,019
and has 201,088 rows; the numbers of models with experts are those of the language models (docs/facts/moe.md).

Licences are those of the model cards of the language models; read them there before you rely on them.
"""

from dataclasses import replace
from typing import Any

from tessera.families.entry import LanguageModel
from tessera.models.config import DecoderConfig
from tessera.models.experts import ExpertsConfig
from tessera.nn.rope_scaling import RopeScaling

APACHE = "Apache-2.0"
INTERNLM2_LICENCE = "InternLM licence (code Apache-2.0; weights free for research, commercial use on request)"
QWEN_LICENCE = "Qwen licence (commercial use above 100 million monthly users on request)"
QWEN_RESEARCH = "Qwen research licence (non-commercial)"
LLAMA_3 = "Llama 3 community licence"
LLAMA_2 = "Llama 2 community licence"

BASE_SCALING = RopeScaling(kind="dynamic", factor=2.0)
"""Written into InternVL3's nested configs (1B; 8B and 78B in a port); inert up to 32,768 tokens."""

PHI3_LONG = (
    *(1.0299999713897705, 1.0499999523162842, 1.0499999523162842, 1.0799999237060547, 1.2299998998641968),
    *(1.2299998998641968, 1.2999999523162842, 1.4499999284744263, 1.5999999046325684, 1.6499998569488525),
    *(1.8999998569488525, 2.859999895095825, 3.68999981880188, 5.419999599456787, 5.489999771118164),
    *(5.489999771118164, 9.09000015258789, 11.579999923706055, 15.65999984741211, 15.769999504089355),
    *(15.789999961853027, 18.360000610351562, 21.989999771118164, 23.079999923706055, 30.009998321533203),
    *(32.35000228881836, 32.590003967285156, 35.56000518798828, 39.95000457763672, 53.840003967285156),
    *(56.20000457763672, 57.95000457763672, 59.29000473022461, 59.77000427246094, 59.920005798339844),
    *(61.190006256103516, 61.96000671386719, 62.50000762939453, 63.3700065612793, 63.48000717163086),
    *(63.48000717163086, 63.66000747680664, 63.850006103515625, 64.08000946044922, 64.760009765625),
    *(64.80001068115234, 64.81001281738281, 64.81001281738281),
)
"""Phi-3-mini-128k-instruct as first released (April 2024), the one the series starts from."""
PHI3_SHORT = (
    *(1.05, 1.05, 1.05, 1.1, 1.1, 1.1, 1.25, 1.25, 1.4, 1.45, 1.55, 1.85, 1.9),
    *(2.0,) * 19,
    *(2.1, 2.1, 2.2, 2.35, 2.35, 2.35, 2.35, 2.4, 2.4, 2.65, 2.7, 2.9, 2.95, 3.05, 3.05, 3.05),
)


Shape = tuple[int, ...]
"""Width, feed-forward width, layers, heads, key-value heads."""


def make_decoder(architecture: str, vocabulary: int, shape: Shape, **fields: Any) -> DecoderConfig:
    """A config without biases unless `fields` say otherwise."""
    width, inner, layers, heads, kv_heads = shape
    sizes: dict[str, Any] = {"hidden_size": width, "intermediate_size": inner, "num_hidden_layers": layers}
    sizes |= {"num_attention_heads": heads, "num_key_value_heads": kv_heads, "vocab_size": vocabulary}
    sizes |= {"architecture": architecture, "attention_bias": False}
    return DecoderConfig.model_validate(sizes | fields)


def _internlm2(name: str, shape: Shape, theta: float, factor: float) -> LanguageModel:
    """InternLM2 or 2.5: dynamic NTK, 92,544 tokens and nine."""
    scaling = RopeScaling(kind="dynamic", factor=factor)
    config = make_decoder(
        "internlm2", 92_553, shape, rms_norm_eps=1e-5, rope_theta=theta, rope_scaling=scaling
    )
    return LanguageModel(name, config, 92_546, "SentencePiece", INTERNLM2_LICENCE, "<s>")


def _qwen2_5(
    size: str, shape: Shape, licence: str = APACHE, unverified: tuple[str, ...] = ()
) -> LanguageModel:
    config = make_decoder("qwen2", 151_674, shape, attention_bias=True)
    return LanguageModel(f"Qwen2.5-{size}", config, 151_667, "byte-level BPE", licence, "", unverified)


def _qwen3_moe(size: str, shape: Shape, inner: int) -> LanguageModel:
    """Qwen3 with 128 experts of `inner` channels in every block, eight for a token."""
    experts = ExpertsConfig(count=128, top_k=8, intermediate_size=inner)
    return _qwen3(size, shape).varied(
        {"architecture": "qwen3_moe", "experts": experts}, unverified=("vocabulary", "image_token")
    )


def _qwen3(size: str, shape: Shape) -> LanguageModel:
    """Qwen3: heads of 128 with their own norm, 40,960 positions."""
    # Written only where it does not follow from the width, as in the released configs.
    head = None if shape[0] == 128 * shape[3] else 128
    config = make_decoder(
        "qwen3", 151_936, shape, head_dim=head, qk_norm=True, max_position_embeddings=40_960
    )
    return LanguageModel(f"Qwen3-{size}", config, 151_671, "byte-level BPE", APACHE)


LLAMA2_13B = LanguageModel(
    "LLaMA2-13B (Chinese)",
    # The card counts 13.12B of 19.11B: 41,680 to 41,970 rows fit both; the middle is taken.
    make_decoder(
        "llama", 41_824, (5120, 13_824, 40, 40, 40),
        rms_norm_eps=1e-5, rope_theta=1e4, max_position_embeddings=4096,
    ),
    41_817, "SentencePiece", LLAMA_2, "<s>", ("vocabulary", "image_token", "eps", "positions"),
)  # fmt: skip
YI_34B = LanguageModel(
    "Nous-Hermes-2-Yi-34B",
    make_decoder(
        "llama", 64_007, (7168, 20_480, 60, 56, 8),
        rms_norm_eps=1e-5, rope_theta=5e6, max_position_embeddings=4096,
    ),
    64_000, "SentencePiece", APACHE, "", ("vocabulary", "image_token"),
)  # fmt: skip
LLAMA3_70B = LanguageModel(
    "Hermes-2-Theta-Llama-3-70B",
    make_decoder(
        "llama", 128_265, (8192, 28_672, 80, 64, 8),
        rms_norm_eps=1e-5, rope_theta=5e5, max_position_embeddings=8192,
    ),
    128_258, "byte-level BPE", LLAMA_3, "<|begin_of_text|>", ("vocabulary", "image_token", "bos"),
)  # fmt: skip
PHI3_MINI = LanguageModel(
    "Phi-3-mini-128k-instruct",
    make_decoder(
        "phi3", 32_020, (3072, 8192, 32, 32, 32),
        rms_norm_eps=1e-5, rope_theta=1e4, max_position_embeddings=131_072,
        rope_scaling=RopeScaling(
            kind="longrope", factor=32.0, original_max_position_embeddings=4096,
            short_factor=PHI3_SHORT, long_factor=PHI3_LONG,
        ),
    ),
    32_013, "SentencePiece", "MIT", "<s>", ("vocabulary", "image_token", "scaling"),
)  # fmt: skip
INTERNLM2_1_8B = _internlm2("internlm2-chat-1_8b", (2048, 8192, 24, 16, 8), 1e6, 2.0)
INTERNLM2_20B = _internlm2("internlm2-chat-20b", (6144, 16_384, 48, 48, 8), 1e6, 3.0)
INTERNLM2_5_1_8B = replace(INTERNLM2_1_8B, name="internlm2_5-1_8b-chat")
INTERNLM2_5_7B = _internlm2("internlm2_5-7b-chat", (4096, 14_336, 32, 32, 8), 1e6, 2.0)
INTERNLM2_5_20B = _internlm2("internlm2_5-20b-chat", (6144, 16_384, 48, 48, 8), 5e7, 2.5)
INTERNLM3_8B = LanguageModel(
    "internlm3-8b-instruct",
    # InternVL3-9B ships configuration_internlm2.py and a nested config of class InternLM2ForCausalLM.
    # <|im_end|> is 128,131 in InternLM3's generation config; a resized fine-tune has 128,133 rows, plus nine.
    make_decoder(
        "internlm2", 128_142, (4096, 10_240, 48, 32, 2), head_dim=None,
        rms_norm_eps=1e-5, rope_theta=5e7, rope_scaling=RopeScaling(kind="dynamic", factor=6.0),
    ),
    128_135, "SentencePiece", APACHE, "<s>", ("vocabulary", "image_token", "scaling"),
)  # fmt: skip
QWEN2_5 = {
    "0.5B": _qwen2_5("0.5B", (896, 4864, 24, 14, 2)),
    "1.5B": _qwen2_5("1.5B", (1536, 8960, 28, 12, 2)),
    "3B": _qwen2_5("3B", (2048, 11_008, 36, 16, 2), licence=QWEN_RESEARCH),
    "7B": _qwen2_5("7B", (3584, 18_944, 28, 28, 4)),
    "14B": _qwen2_5("14B", (5120, 13_824, 48, 40, 8)),
    "32B": _qwen2_5("32B", (5120, 27_648, 64, 40, 8), unverified=("eps",)),
    "72B": _qwen2_5("72B", (8192, 29_568, 80, 64, 8), licence=QWEN_LICENCE),
}
QWEN2_0_5B = QWEN2_5["0.5B"].varied(
    {"vocab_size": 151_655},
    name="Qwen2-0.5B-Instruct",
    image_token=151_648,
    unverified=("vocabulary", "image_token"),
)
QWEN3 = {
    "0.6B": _qwen3("0.6B", (1024, 3072, 28, 16, 8)),
    "1.7B": _qwen3("1.7B", (2048, 6144, 28, 16, 8)),
    "4B": _qwen3("4B", (2560, 9728, 36, 32, 8)),
    "8B": _qwen3("8B", (4096, 12_288, 36, 32, 8)),
    "14B": _qwen3("14B", (5120, 17_408, 40, 40, 8)),
    "32B": _qwen3("32B", (5120, 25_600, 64, 64, 8)),
    "30B-A3B": _qwen3_moe("30B-A3B", (2048, 6144, 48, 32, 4), 768),
    "235B-A22B": _qwen3_moe("235B-A22B", (4096, 12_288, 94, 64, 4), 1536),
}
GPT_OSS_20B = LanguageModel(
    "gpt-oss-20b",
    make_decoder(
        "gpt_oss", 201_088, (2880, 2880, 24, 64, 8),
        head_dim=64, rms_norm_eps=1e-5, rope_theta=150_000.0, max_position_embeddings=131_072,
        attention_bias=True, attention_output_bias=True, attention_sinks=True,
        sliding_window=128, sliding_layers=tuple(range(0, 24, 2)),
        rope_scaling=RopeScaling(
            kind="yarn", factor=32.0, original_max_position_embeddings=4096, truncate=False
        ),
        experts=ExpertsConfig(
            count=32, top_k=4, intermediate_size=2880, shares="chosen", gate="clamped", bias=True,
            balance=0.9,
        ),
    ),
    200_021, "byte-level BPE", APACHE, "", ("vocabulary", "image_token", "balance"),
)  # fmt: skip


def qwen2_5_instruct(size: str) -> LanguageModel:
    """Qwen2.5 tuned for chats: what InternVL 2.5 starts from."""
    return replace(QWEN2_5[size], name=f"Qwen2.5-{size}-Instruct")


def qwen2_5_base(size: str) -> LanguageModel:
    """Qwen2.5 before any tuning, with the dynamic scaling of InternVL3's configs.

    From 14B on Qwen's own files say eps 1e-5 before tuning, 1e-6 after it; a port of InternVL3-78B has 1e-6.
    """
    guessed = () if size in ("0.5B", "7B", "72B") else ("scaling",)
    eps = 1e-5 if size in ("14B", "32B", "72B") else 1e-6
    unverified = ("eps", *guessed) if eps == 1e-5 else guessed
    return QWEN2_5[size].varied({"rope_scaling": BASE_SCALING, "rms_norm_eps": eps}, unverified=unverified)
