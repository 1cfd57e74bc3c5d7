"""The model's side of generation: all prompts in one stream, then one token a sequence and step."""

from collections.abc import Sequence as Seq

import numpy as np
import torch

from tessera.engine.sampling.choose import finite_rows, forbid
from tessera.engine.sequence import Sequence
from tessera.models.vlm import VLM
from tessera.nn.attention.cache import KVCache
from tessera.nn.attention.layout import Paged


class Runner:
    """A model with a cache for a fixed set of sequences: one contiguous page each."""

    def __init__(self, model: VLM, sequences: Seq[Sequence], vocabulary: int) -> None:
        self.model = model
        self.vocabulary = vocabulary
        weight = model.decoder.embed_tokens.weight
        self.device = weight.device
        config = model.config.decoder
        self.cache = KVCache(
            config.num_hidden_layers,
            len(sequences),
            max(sequence.room for sequence in sequences),
            config.num_key_value_heads,
            config.head_width,
            weight.dtype,
            model.decoder.layer_devices,
        )

    @torch.inference_mode()
    def prefill(self, sequences: Seq[Sequence]) -> tuple[torch.Tensor, torch.Tensor]:
        """All prompts in one stream; scores [B, V] for each first new token, and which rows are finite."""
        return self._advance(sequences, [0] * len(sequences))

    @torch.inference_mode()
    def step(self, sequences: Seq[Sequence]) -> tuple[torch.Tensor, torch.Tensor]:
        """The newest token of every sequence; scores [B, V] for the next, and which rows are finite.

        A sequence that outgrows its angles (longrope, once) goes through the model again as a whole, pictures
        included, as Phi-3 does in transformers.
        """
        outgrown = (sequence.outgrows(self.model.config.decoder) for sequence in sequences)
        pairs = zip(sequences, outgrown, strict=True)
        return self._advance(sequences, [0 if again else len(s.ids) - 1 for s, again in pairs])

    def _advance(self, sequences: Seq[Sequence], contexts: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
        """All tokens of the sequences behind their contexts; scores [B, V] behind the last of each."""
        pairs = list(zip(sequences, contexts, strict=True))
        ids = [token for sequence, context in pairs for token in sequence.ids[context:]]
        positions = [place for sequence, context in pairs for place in sequence.positions[context:]]
        lengths = tuple(len(sequence.ids) - context for sequence, context in pairs)
        layout = Paged(lengths, tuple(contexts), tuple((sequence.page,) for sequence in sequences))
        features = self._see([sequence for sequence, context in pairs if context == 0])
        stream = torch.tensor(ids, device=self.device)
        last = layout.ends(self.device)
        hidden = self.model(
            stream, layout, torch.tensor(positions), cache=self.cache, features=features, rows=last
        )
        scores = self.model.logits(hidden)
        finite = finite_rows(scores[:, : self.vocabulary])
        return forbid(scores, self.model.config.image_token_id, self.vocabulary), finite

    def _see(self, sequences: Seq[Sequence]) -> torch.Tensor | None:
        """Visual features [N, tokens, D] of all tiles of all sequences, each computed once; None without."""
        tiles = [sequence.prompt.tiles for sequence in sequences if len(sequence.prompt.tiles)]
        if not tiles:
            return None
        return self.model.see(torch.from_numpy(np.concatenate(tiles)))
