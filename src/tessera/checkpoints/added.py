"""New special tokens for a model: rows in embedding and head, which start as the mean of what wrote the name.

`<loc>` was five pieces before; its row of either matrix starts as the mean of their rows, so that the model
reads something like the name, no two tokens are the same, and none is likelier than its pieces. Rows that
exist beyond the tokenizer (padded vocabularies) are filled first. Training moves what rules do not freeze.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from tessera.chat.tokenizer import Tokenizer
from tessera.families.family import Family
from tessera.runtime.shown import shown

EMBEDDING, HEAD = "decoder.embed_tokens.weight", "decoder.lm_head.weight"
LONGEST = 64
"""Characters of a name."""


@dataclass(frozen=True)
class NewTokens:
    """A tokenizer with new special tokens, the family that has rows for them, and where these come from."""

    tokenizer: Tokenizer
    family: Family
    pieces: Mapping[int, tuple[int, ...]]
    """Id of each new token -> the ids with which its name was written before."""

    @classmethod
    def plan(cls, tokenizer: Tokenizer, family: Family, names: Sequence[str]) -> NewTokens:
        """ValueError for a name that is there, is no word, or is given twice."""
        for number, name in enumerate(names):
            if fault := _fault(tokenizer, name, names[:number]):
                raise ValueError(f"add_tokens: {shown(name)} {fault}")
        wider = tokenizer.with_added(names)
        model = family.model
        rows = max(model.decoder.vocab_size, wider.vocab_size)
        decoder = model.decoder.model_copy(update={"vocab_size": rows})
        update: dict[str, object] = {"model": model.model_copy(update={"decoder": decoder})}
        if not isinstance(family.content_tokens, str):
            update["content_tokens"] = (*family.content_tokens, *names)
        pieces = {wider.token_id(name): tuple(tokenizer.encode_plain(name)) for name in names}
        return cls(wider, family.model_copy(update=update), pieces)

    @property
    def note(self) -> str:
        """What was added, in a sentence."""
        names = ", ".join(f"{self.tokenizer.decode([i], skip_special=False)} ({i})" for i in self.pieces)
        return f"added {names}: a new row starts as the mean of the rows that wrote its name before"

    def widened(self, tensors: Iterable[tuple[str, torch.Tensor]]) -> Iterator[tuple[str, torch.Tensor]]:
        """Own names and tensors; embedding and head with the new rows."""
        for name, tensor in tensors:
            yield name, self._with_rows(tensor) if name in (EMBEDDING, HEAD) else tensor

    def _with_rows(self, matrix: torch.Tensor) -> torch.Tensor:
        """[V, D] to [V', D], in its own number format; rows that no token has may go."""
        rows = self.family.model.decoder.vocab_size
        more = max(0, rows - len(matrix))
        wide = torch.cat((matrix[:rows], matrix.new_zeros(more, matrix.shape[1])))
        for token, pieces in self.pieces.items():
            wide[token] = matrix[list(pieces)].float().mean(0).to(matrix.dtype)
        return wide


def _fault(tokenizer: Tokenizer, name: object, before: Sequence[str]) -> str | None:
    """What is wrong with the name of a new token."""
    if not isinstance(name, str) or not name or name != name.strip() or len(name) > LONGEST:
        return f"is no name: give 1 to {LONGEST} characters without white space around them"
    if not name.isprintable():
        return "holds characters that nobody sees; leave them out"
    if name in before:
        return "is given twice"
    if tokenizer.has_token(name):
        return "is a token already; leave it out"
    if tokenizer.vocabulary.token_id(name) is not None:
        return "is a piece of the vocabulary already, with a trained row; choose another name"
    return None
