"""Both sides of `pair.py`: our pair, and transformers' modules with the same weights and padded batches."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn
from transformers import InternVLVisionConfig, LlamaConfig
from transformers.models.internvl.modeling_internvl import InternVLVisionModel
from transformers.models.llama.modeling_llama import LlamaModel

from tessera.models.config import DecoderConfig, VisionConfig
from tessera.models.initialise import initialise
from tessera.models.pair.config import PairConfig
from tessera.models.pair.pair import QllamaPair
from tessera.models.vlm import normalise
from tessera.train.objective.pairing.batches import TextPairBatch, TextRows
from tessera.train.objective.pairing.first import PairContrastObjective
from tessera.train.objective.pairing.second import PairTasksObjective

SHAPES = {
    # side, ViT width, layers, heads; text width, feed-forward, layers, heads; queries, vocabulary
    "small": (224, 384, 12, 6, 512, 1376, 8, 8, 96, 49_954),
    "tiny": (56, 32, 2, 2, 32, 48, 2, 2, 4, 101),
}
PROMPT, EMPTY = 5, (5, 2)
Batch = TextPairBatch


def config_of(shape: str) -> PairConfig:
    """A pair of that shape."""
    side, sight, depth, eyes, width, inner, layers, heads, queries, vocabulary = SHAPES[shape]
    vision = VisionConfig(
        image_size=side, hidden_size=sight, num_hidden_layers=depth, num_attention_heads=eyes,
        intermediate_size=4 * sight, norm_type="rms_norm", qk_normalization=True, qkv_bias=False,
    )  # fmt: skip
    text = DecoderConfig(
        architecture="llama", vocab_size=vocabulary, hidden_size=width, intermediate_size=inner,
        num_hidden_layers=layers, num_attention_heads=heads, num_key_value_heads=heads, rope_theta=1e4,
        attention_bias=False,
    )  # fmt: skip
    pools = 16 if sight % 16 == 0 and width % 16 == 0 else 2
    return PairConfig(
        vision=vision, qllama=text, num_query_token=queries, clip_embed_dim=256, attn_pool_num_heads=pools
    )


def draw(config: PairConfig, pictures: int, seed: int) -> Batch:
    """Noise and words: captions of 12 to 30 tokens."""
    generator = torch.Generator().manual_seed(seed)
    side, words = config.vision.image_size, config.qllama.vocab_size

    def texts() -> TextRows:
        lengths = torch.randint(12, 31, (pictures,), generator=generator).tolist()
        ids = torch.randint(3, words, (sum(lengths),), generator=generator)
        return TextRows(ids, tuple(lengths))

    tiles = torch.randint(0, 256, (pictures, side, side, 3), dtype=torch.uint8, generator=generator)
    ids = torch.arange(pictures)
    return TextPairBatch(
        seed, tiles, None, ids, texts(), matching=texts(), other=texts(), caption=texts(), prompt=PROMPT,
        empty=EMPTY,
    )  # fmt: skip


class Ours(nn.Module):
    """The pair with the objectives of `train`."""

    def __init__(self, shape: str) -> None:
        super().__init__()
        self.config = config_of(shape)
        self.model = QllamaPair(self.config)
        initialise(self.model, 0)
        with torch.no_grad():
            self.model.query_tokens.normal_(0, 0.02, generator=torch.Generator().manual_seed(1))

    def contrast(self, batch: Batch) -> torch.Tensor:
        """Stage 1's loss."""
        return PairContrastObjective().loss_sum(self.model, batch, torch.device("cpu")) / batch.size

    def tasks(self, batch: Batch) -> torch.Tensor:
        """Stage 2's loss."""
        return PairTasksObjective().loss_sum(self.model, batch, torch.device("cpu")) / batch.size


@dataclass
class Rectangle:
    """Padded texts: ids and mask [N, L]."""

    ids: torch.Tensor
    mask: torch.Tensor

    @classmethod
    def of(cls, rows: TextRows, length: int) -> Rectangle:
        """Right padding with id 0."""
        ids = torch.zeros(len(rows.lengths), length, dtype=torch.long)
        mask = torch.zeros_like(ids, dtype=torch.bool)
        for row, text in enumerate(rows.ids.split(rows.lengths)):
            ids[row, : len(text)], mask[row, : len(text)] = text, True
        return cls(ids, mask)

    @property
    def last(self) -> torch.Tensor:
        """Place of each text's last token."""
        return self.mask.sum(1) - 1


class Padded(nn.Module):
    """transformers' ViT and LLaMA; cross-attention and masks in plain torch over the same weights."""

    def __init__(self, ours: Ours, length: int | None) -> None:
        super().__init__()
        self.config, self.length = ours.config, length
        self.rest = QllamaPair(self.config)
        self.rest.load_state_dict(ours.model.state_dict())
        self.vision, self.llama = _vision(self.rest, self.config), _llama(self.rest, self.config)
        kept = (p for name, p in self.rest.named_parameters() if _is_own(name))
        self._kept = [*self.vision.parameters(), *self.llama.parameters(), *kept]

    def parameters(self, recurse: bool = True):  # type: ignore[no-untyped-def, override]
        """Those that are used."""
        return iter(self._kept)

    def _look(self, batch: Batch) -> torch.Tensor:
        pixels = normalise(batch.tiles, self.config.mean, self.config.std, torch.float32)
        states: torch.Tensor = self.vision(pixels).last_hidden_state
        return states

    def _rows(self, rows: TextRows) -> Rectangle:
        return Rectangle.of(rows, self.length or max(rows.lengths))

    def contrast(self, batch: Batch) -> torch.Tensor:
        """Stage 1's loss."""
        texts = self._rows(batch.contrast)
        hidden = self.llama(input_ids=texts.ids, attention_mask=texts.mask).last_hidden_state
        said = hidden[torch.arange(batch.size), texts.last] @ self.rest.text_projection
        return self._symmetric(self.rest.clip_projector(self._look(batch)), said)

    def _symmetric(self, images: torch.Tensor, texts: torch.Tensor) -> torch.Tensor:
        scores = self.rest.logit_scale.exp() * F.normalize(images, dim=1) @ F.normalize(texts, dim=1).T
        labels = torch.arange(len(scores))
        return (F.cross_entropy(scores, labels) + F.cross_entropy(scores.T, labels)) / 2

    def tasks(self, batch: Batch) -> torch.Tensor:
        """Stage 2's loss: one pass over three stacked copies."""
        assert batch.matching is not None and batch.other is not None and batch.caption is not None
        count, queries = batch.size, self.config.num_query_token
        wrong = count - count // 2
        longest = max(max(r.lengths) for r in (batch.matching, batch.other, batch.contrast, batch.caption))
        other, own, contrast, caption = (
            Rectangle.of(rows, self.length or longest)
            for rows in (batch.other, batch.matching, batch.contrast, batch.caption)
        )
        ids = torch.cat((other.ids[:wrong], own.ids[wrong:], contrast.ids, caption.ids))
        seen = torch.cat((other.mask[:wrong], own.mask[wrong:], contrast.mask, caption.mask))
        hidden = self._qllama(ids, _masks(seen, queries), self._look(batch))
        heads, tails = hidden[:, :queries].chunk(3), hidden[:, queries:].chunk(3)
        logits = self.rest.itm_head(heads[0]).mean(1)
        matching = F.cross_entropy(logits, (torch.arange(count) >= wrong).long())
        said = tails[1][torch.arange(count), contrast.last] @ self.rest.text_projection
        labels = caption.ids.masked_fill(~caption.mask, -100)
        labels[:, : batch.prompt] = -100
        scores = self.rest.qllama.lm_head(tails[2])[:, :-1]
        generation = F.cross_entropy(scores.flatten(0, 1), labels[:, 1:].flatten())
        return self._symmetric(self.rest.clip_projector2(heads[1]), said) + matching + generation

    def _qllama(self, ids: torch.Tensor, allowed: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
        """Copies of queries and text [3 N, Q + L, D]; keys of a picture are repeated for its copies."""
        llama, queries = self.llama, self.config.num_query_token
        x = torch.cat((self.rest.query_tokens.expand(len(ids), -1, -1), llama.embed_tokens(ids)), 1)
        turned = llama.rotary_emb(x, torch.arange(x.shape[1])[None])
        mask = torch.zeros(allowed.shape).masked_fill(~allowed, torch.finfo(torch.float32).min)[:, None]
        for layer, reading in zip(llama.layers, self.rest.qllama.layers, strict=True):
            attended = layer.self_attn(
                layer.input_layernorm(x), position_embeddings=turned, attention_mask=mask
            )
            x = x + attended[0]
            if reading.cross_attn is not None:
                heads, texts = x[:, :queries], x[:, queries:]
                x = torch.cat((heads + _read(reading.cross_attn, heads, states), texts), 1)
            x = x + layer.mlp(layer.post_attention_layernorm(x))
        out: torch.Tensor = llama.norm(x)
        return out


def _is_own(name: str) -> bool:
    """Whether a weight of the pair is in neither of transformers' modules."""
    towers = name.startswith(("vision.", "qllama."))
    return not towers or ".cross_attn." in name or name == "qllama.lm_head.weight"


def _masks(seen: torch.Tensor, queries: int) -> torch.Tensor:
    """bool [3 N, Q + L, Q + L] of the three copies; pads are seen by nobody."""
    total = queries + seen.shape[1]
    causal = torch.ones(total, total, dtype=torch.bool).tril()
    causal[:queries, :queries] = True
    apart = causal.clone()
    apart[queries:, :queries] = False
    rules = torch.stack((torch.ones_like(causal), apart, causal)).repeat_interleave(len(seen) // 3, 0)
    keys = torch.cat((torch.ones(len(seen), queries, dtype=torch.bool), seen), 1)
    return rules & keys[:, None]


def _read(part: nn.Module, queries: torch.Tensor, states: torch.Tensor) -> torch.Tensor:
    heads: int = part.heads  # type: ignore[assignment]
    asked, read = part.norm1(queries), part.norm2(states)  # type: ignore[operator]
    q, k, v = (
        project(x).unflatten(-1, (heads, -1)).transpose(1, 2)  # type: ignore[operator]
        for project, x in ((part.q_proj, asked), (part.k_proj, read), (part.v_proj, read))
    )
    copies = len(queries) // len(states)
    out = F.scaled_dot_product_attention(q, k.repeat(copies, 1, 1, 1), v.repeat(copies, 1, 1, 1))
    found: torch.Tensor = part.o_proj(out.transpose(1, 2).flatten(2))  # type: ignore[operator]
    return found


def _llama(pair: QllamaPair, config: PairConfig) -> LlamaModel:
    text = config.qllama
    names = ("vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads")
    settings = LlamaConfig(**text.model_dump(include={*names, "rms_norm_eps"}), attn_implementation="sdpa")
    model = LlamaModel(settings)
    given = {n.removeprefix("qllama."): p for n, p in pair.state_dict().items() if n.startswith("qllama.")}
    model.load_state_dict({n: p for n, p in given.items() if "cross_attn" not in n and "lm_head" not in n})
    return model


def _vision(pair: QllamaPair, config: PairConfig) -> InternVLVisionModel:
    vit = config.vision
    names = ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size")
    settings = InternVLVisionConfig(
        **vit.model_dump(include={*names}), image_size=vit.image_size, patch_size=vit.patch_size,
        norm_type="rms_norm", use_qk_norm=True, attention_bias=False, use_mean_pooling=True,
        use_absolute_position_embeddings=True, attn_implementation="sdpa", layer_norm_eps=vit.layer_norm_eps,
    )  # fmt: skip
    model = InternVLVisionModel(settings)
    model.load_state_dict(_vision_names(pair.vision.state_dict()))
    return model


def _vision_names(own: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Names of transformers' module; query, key and value apart."""
    renamed = {
        "embeddings.class_embedding": "embeddings.cls_token",
        "embeddings.position_embedding": "embeddings.position_embeddings",
        "embeddings.patch_embedding": "embeddings.patch_embeddings.projection",
        "layers.": "encoder.layer.",
        ".attn.proj.": ".attention.projection_layer.",
        ".attn.": ".attention.",
        ".norm1.": ".layernorm_before.",
        ".norm2.": ".layernorm_after.",
        ".ls": ".lambda_",
    }
    found: dict[str, torch.Tensor] = {}
    for name, value in own.items():
        for mine, theirs in renamed.items():
            name = name.replace(mine, theirs)
        if ".qkv." in name:
            parts = zip("qkv", value.chunk(3), strict=True)
            found |= {name.replace(".qkv.", f".{letter}_proj."): part for letter, part in parts}
        else:
            found[name] = value
    return found
