"""The released pair, its two fine-tunes, and toy sizes (InternVL 1.0 paper, table 1; internvl_g/README)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from tessera.families.entry import Component, Entry, Published
from tessera.models.config import DecoderConfig, VisionConfig
from tessera.models.pair.config import PairConfig

if TYPE_CHECKING:
    from tessera.families.family import Family

SOURCE = "InternVL 1.0 paper, section 3 and table 1"


def _config(side: int) -> PairConfig:
    """InternViT-6B of 48 layers, and Chinese Alpaca's LLaMA-7B."""
    vision = VisionConfig(
        image_size=side,
        hidden_size=3200,
        num_hidden_layers=48,
        num_attention_heads=25,
        intermediate_size=12800,
        norm_type="rms_norm",
        qk_normalization=True,
        qkv_bias=False,
    )
    return PairConfig(vision=vision, qllama=_llama(49954, 4096, 11008, 32, 32))


def _llama(vocabulary: int, width: int, inner: int, layers: int, heads: int) -> DecoderConfig:
    return DecoderConfig(
        architecture="llama",
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        rope_theta=1e4,
        attention_bias=False,
        max_position_embeddings=2048,
    )


def _pair(suffix: str, side: int, *notes: str) -> Component:
    return Component(
        base="InternVL-14B-",
        suffix=suffix,
        generation="1",
        architecture="internvl_g",
        model=_config(side),
        published=Published("14", vision="5.9", source=SOURCE),
        purpose="contrastive pair",
        vision="6B",
        language="QLLaMA-8B",
        notes=(
            "embeds pictures (InternVL-C, or -G with queries) and texts in one space, writes captions",
            *notes,
        ),
        unverified=("weight_files", "qllama_config.rms_norm_eps", "qllama_config.vocab_size"),
        use=f'tessera.load("OpenGVLab/InternVL-14B-{suffix}").embed_images(["a.jpg"], mode="g")',
    )


TUNED = "fine-tuned for retrieval at 364 px, where it was trained on pictures squeezed into the square"
COMPONENTS = (
    _pair("224px", 224),
    _pair("Flickr30K-FT-364px", 364, TUNED),
    _pair("FlickrCN-FT-364px", 364, TUNED, "Chinese captions"),
)
ENTRIES: tuple[Entry, ...] = ()
TOYS: Mapping[str, Callable[[], Family]] = {}


def refusal(name: str) -> str | None:
    """Nothing of this family is refused."""
    return None


def _toy(
    pixels: tuple[int, int], vit: tuple[int, int, int, int], text: DecoderConfig, **heads: int
) -> PairConfig:
    """pixels: sides of tile and patch. vit: width, layers, heads, feed-forward width."""
    names = ("image_size", "patch_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    sizes = dict(zip((*names, "intermediate_size"), (*pixels, *vit), strict=True))
    kind = {"norm_type": "rms_norm", "qk_normalization": True, "qkv_bias": False}
    return PairConfig(vision=VisionConfig.model_validate(sizes | kind), qllama=text, **ENDS, **heads)


ENDS = {"bos_token_id": 1051, "eos_token_id": 1052}
"""`<|im_start|>` and `<|im_end|>` of the tokenizer that ships here."""
TOY_PAIRS: Mapping[str, PairConfig] = {
    # The scale model's ViT shape, and a decoder of its size: 8 queries, 3.8 million weights.
    "scale_pair": _toy(
        (64, 8), (192, 6, 3, 768), _llama(1062, 192, 512, 4, 3), clip_embed_dim=128, attn_pool_num_heads=4,
        num_query_token=8,
    ),
    # Some thousand weights, for tests.
    "nano_pair": _toy(
        (16, 4), (16, 2, 2, 24), _llama(1062, 32, 48, 4, 4), clip_embed_dim=24, attn_pool_num_heads=4,
        num_query_token=4,
    ),
}  # fmt: skip
