"""Every language model that stands in a chat model, as its nested `llm_config` describes it (facts 1.4, 2.3).

Numbers come from released config.json files: of the chat models themselves where we saw them (InternVL2-8B,
InternVL2-26B, InternVL3-1B, InternVL3_5-8B, the head of InternVL-Chat-V1-2), else of the language model they
start from (Hermes-2-Theta-Llama-3-70B, Nous-Hermes-2-Yi-34B, internlm2_5-20b-chat with theta 5e7 and dynamic
x 2.5, internlm3-8b-instruct, Phi-3-mini-128k-instruct, Qwen2.5, Qwen3). What no file told us is named in
`unverified`. A checkpoint's own config.json always wins; these tables make models without one and check our
reading.

Rows of the vocabulary: the tokens of the tokenizer and the nine that InternVL adds, padding rows dropped
(`resize_token_embeddings(len(tokenizer))`). Qwen2 knows 151,646 tokens and gets 151,655; Qwen2.5 151,665 and
151,674. Yi already has `<img>` (68) and `</img>` (70): seven are added, `<IMG_CONTEXT>` comes first. InternVL
3.5 keeps Qwen3's 151,936 padded rows, its nine tokens follow the 151,669 known ones.

Licences are those of the model cards of the language models; read them there before you rely on them.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from tessera.families.parts import LanguageModel

APACHE = "Apache-2.0"
INTERNLM2_LICENCE = "InternLM licence (code Apache-2.0; weights free for research, commercial use on request)"
QWEN_LICENCE = "Qwen licence (commercial use above 100 million monthly users on request)"
QWEN_RESEARCH = "Qwen research licence (non-commercial)"
LLAMA_3 = "Llama 3 community licence"
LLAMA_2 = "Llama 2 community licence"

BASE_SCALING = {"kind": "dynamic", "factor": 2.0}
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


def _internlm2(
    name: str, width: int, inner: int, layers: int, heads: int, theta: float, factor: float
) -> LanguageModel:
    """InternLM2 or 2.5: 8 key-value heads, dynamic NTK, 92,544 tokens and nine."""
    return LanguageModel(
        name=name,
        architecture="internlm2",
        vocabulary=92_553,
        image_token=92_546,
        width=width,
        inner=inner,
        layers=layers,
        heads=heads,
        kv_heads=8,
        eps=1e-5,
        theta=theta,
        positions=32_768,
        tokenizer="SentencePiece",
        licence=INTERNLM2_LICENCE,
        bos="<s>",
        scaling={"kind": "dynamic", "factor": factor},
    )


def _qwen2_5(size: str, shape: tuple[int, int, int, int, int], **changes: Any) -> LanguageModel:
    """Qwen2.5; shape: width, feed-forward, layers, heads, key-value heads."""
    width, inner, layers, heads, kv_heads = shape
    model = LanguageModel(
        name=f"Qwen2.5-{size}",
        architecture="qwen2",
        vocabulary=151_674,
        image_token=151_667,
        width=width,
        inner=inner,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        eps=1e-6,
        theta=1e6,
        positions=32_768,
        tokenizer="byte-level BPE",
        licence=APACHE,
        head_width=width // heads,
        biases=True,
    )
    return replace(model, **changes)


def _qwen3(size: str, shape: tuple[int, int, int, int, int]) -> LanguageModel:
    """Qwen3: heads of 128 with their own norm, no biases, 40,960 positions."""
    width, inner, layers, heads, kv_heads = shape
    return LanguageModel(
        name=f"Qwen3-{size}",
        architecture="qwen3",
        vocabulary=151_936,
        image_token=151_671,
        width=width,
        inner=inner,
        layers=layers,
        heads=heads,
        kv_heads=kv_heads,
        eps=1e-6,
        theta=1e6,
        positions=40_960,
        tokenizer="byte-level BPE",
        licence=APACHE,
        qk_norm=True,
    )


LLAMA2_13B = LanguageModel(
    name="LLaMA2-13B (Chinese)",
    architecture="llama",
    # The card counts 13.12B of 19.11B: 41,680 to 41,970 rows fit both; the middle is taken.
    vocabulary=41_824,
    image_token=41_817,
    width=5120,
    inner=13_824,
    layers=40,
    heads=40,
    kv_heads=40,
    eps=1e-5,
    theta=1e4,
    positions=4096,
    tokenizer="SentencePiece",
    licence=LLAMA_2,
    bos="<s>",
    unverified=("vocabulary", "image_token", "eps", "positions"),
)
YI_34B = LanguageModel(
    name="Nous-Hermes-2-Yi-34B",
    architecture="llama",
    vocabulary=64_007,
    image_token=64_000,
    width=7168,
    inner=20_480,
    layers=60,
    heads=56,
    kv_heads=8,
    eps=1e-5,
    theta=5e6,
    positions=4096,
    tokenizer="SentencePiece",
    licence=APACHE,
    unverified=("vocabulary", "image_token"),
)
LLAMA3_70B = LanguageModel(
    name="Hermes-2-Theta-Llama-3-70B",
    architecture="llama",
    vocabulary=128_265,
    image_token=128_258,
    width=8192,
    inner=28_672,
    layers=80,
    heads=64,
    kv_heads=8,
    eps=1e-5,
    theta=5e5,
    positions=8192,
    tokenizer="byte-level BPE",
    licence=LLAMA_3,
    bos="<|begin_of_text|>",
    unverified=("vocabulary", "image_token", "bos"),
)
PHI3_MINI = LanguageModel(
    name="Phi-3-mini-128k-instruct",
    architecture="phi3",
    vocabulary=32_020,
    image_token=32_013,
    width=3072,
    inner=8192,
    layers=32,
    heads=32,
    kv_heads=32,
    eps=1e-5,
    theta=1e4,
    positions=131_072,
    tokenizer="SentencePiece",
    licence="MIT",
    bos="<s>",
    head_width=96,
    scaling={
        "kind": "longrope",
        "factor": 32.0,
        "original_max_position_embeddings": 4096,
        "short_factor": PHI3_SHORT,
        "long_factor": PHI3_LONG,
    },
    unverified=("vocabulary", "image_token", "scaling"),
)
INTERNLM2_1_8B = _internlm2("internlm2-chat-1_8b", 2048, 8192, 24, 16, 1e6, 2.0)
INTERNLM2_20B = _internlm2("internlm2-chat-20b", 6144, 16_384, 48, 48, 1e6, 3.0)
INTERNLM2_5_1_8B = replace(INTERNLM2_1_8B, name="internlm2_5-1_8b-chat")
INTERNLM2_5_7B = _internlm2("internlm2_5-7b-chat", 4096, 14_336, 32, 32, 1e6, 2.0)
INTERNLM2_5_20B = _internlm2("internlm2_5-20b-chat", 6144, 16_384, 48, 48, 5e7, 2.5)
INTERNLM3_8B = LanguageModel(
    name="internlm3-8b-instruct",
    # InternVL3-9B ships configuration_internlm2.py and a nested config of class InternLM2ForCausalLM.
    architecture="internlm2",
    # <|im_end|> is 128,131 in InternLM3's generation config; a resized fine-tune has 128,133 rows, plus nine.
    vocabulary=128_142,
    image_token=128_135,
    width=4096,
    inner=10_240,
    layers=48,
    heads=32,
    kv_heads=2,
    eps=1e-5,
    theta=5e7,
    positions=32_768,
    tokenizer="SentencePiece",
    licence=APACHE,
    bos="<s>",
    scaling={"kind": "dynamic", "factor": 6.0},
    unverified=("vocabulary", "image_token", "scaling"),
)
QWEN2_0_5B = replace(
    _qwen2_5("0.5B", (896, 4864, 24, 14, 2)),
    name="Qwen2-0.5B-Instruct",
    vocabulary=151_655,
    image_token=151_648,
    unverified=("vocabulary", "image_token"),
)
QWEN2_5 = {
    "0.5B": _qwen2_5("0.5B", (896, 4864, 24, 14, 2)),
    "1.5B": _qwen2_5("1.5B", (1536, 8960, 28, 12, 2)),
    "3B": _qwen2_5("3B", (2048, 11_008, 36, 16, 2), licence=QWEN_RESEARCH),
    "7B": _qwen2_5("7B", (3584, 18_944, 28, 28, 4)),
    "14B": _qwen2_5("14B", (5120, 13_824, 48, 40, 8)),
    "32B": _qwen2_5("32B", (5120, 27_648, 64, 40, 8), unverified=("eps",)),
    "72B": _qwen2_5("72B", (8192, 29_568, 80, 64, 8), licence=QWEN_LICENCE),
}
QWEN3 = {
    "0.6B": _qwen3("0.6B", (1024, 3072, 28, 16, 8)),
    "1.7B": _qwen3("1.7B", (2048, 6144, 28, 16, 8)),
    "4B": _qwen3("4B", (2560, 9728, 36, 32, 8)),
    "8B": _qwen3("8B", (4096, 12_288, 36, 32, 8)),
    "14B": _qwen3("14B", (5120, 17_408, 40, 40, 8)),
    "32B": _qwen3("32B", (5120, 25_600, 64, 64, 8)),
}


def qwen2_5_instruct(size: str) -> LanguageModel:
    """Qwen2.5 tuned for chats: what InternVL 2.5 starts from."""
    return replace(QWEN2_5[size], name=f"Qwen2.5-{size}-Instruct")


def qwen2_5_base(size: str) -> LanguageModel:
    """Qwen2.5 before any tuning, with the dynamic scaling of InternVL3's configs.

    From 14B on Qwen's own files say eps 1e-5 before tuning, 1e-6 after it; a port of InternVL3-78B has 1e-6.
    """
    model = QWEN2_5[size]
    guessed = () if size in ("0.5B", "7B", "72B") else ("scaling",)
    if size in ("14B", "32B", "72B"):
        model, guessed = replace(model, eps=1e-5), ("eps", *guessed)
    return replace(model, scaling=BASE_SCALING, unverified=guessed)
