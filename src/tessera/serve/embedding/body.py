"""POST /v1/embeddings: OpenAI's form, with pictures and clips as the parts of messages that vLLM takes."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tessera.runtime.shown import shown
from tessera.serve.faults import bad_field, invalid
from tessera.serve.forms.fields import HARMLESS

TOKENS = "ids of tokens depend on the tokenizer that made them; send the text"


class EmbeddingBody(BaseModel):
    """What is embedded, and how rows are written."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    model: str | None = None
    input: str | list[Any] | None = None
    """A text; a list of texts, of parts ({"type": "image_url", ...}), or of lists with one part."""
    messages: list[dict[str, Any]] | None = Field(default=None, min_length=1, max_length=1)
    """vLLM's form: one user message with a text, a picture or a clip."""
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> EmbeddingBody:
        """From what a client sent. ApiFault names what is wrong."""
        try:
            return cls.model_validate({k: v for k, v in body.items() if v is not None and k not in HARMLESS})
        except ValidationError as error:
            raise invalid(error) from error

    def entries(self) -> list[tuple[str, dict[str, Any]]]:
        """(where it stands, a message) for every row. ApiFault for tokens, empty texts, neither or both."""
        if (self.input is None) == (self.messages is None):
            raise bad_field("input", "give either input or messages")
        if self.messages is not None:
            return [("messages[0]", self.messages[0])]
        given = [self.input] if isinstance(self.input, str) else self.input or []
        if not given:
            raise bad_field("input", "[] is empty; give a text, or a list of texts and parts")
        found = []
        for number, entry in enumerate(given):
            where = "input" if isinstance(self.input, str) else f"input[{number}]"
            found.append((where, {"role": "user", "content": _content(where, entry)}))
        return found

    def require_width(self, width: int) -> None:
        """ApiFault when fewer numbers are asked for: the model was not trained to be cut."""
        if self.dimensions not in (None, width):
            what = f"{self.dimensions} is not {width}: this model's rows are not trained to be cut"
            raise bad_field("dimensions", f"{what}; leave it out")


def _content(where: str, entry: object) -> str | list[object]:
    """The content of a message that holds one entry of the input."""
    if isinstance(entry, int) or (isinstance(entry, list) and any(isinstance(one, int) for one in entry)):
        raise bad_field(where, f"{shown(entry)}: {TOKENS}")
    if entry in ("", []):
        raise bad_field(where, f"{shown(entry)} is empty; leave it out")
    if isinstance(entry, str):
        return entry
    if isinstance(entry, dict):
        return [entry]
    if isinstance(entry, list):
        if len(entry) > 1:
            raise bad_field(where, f"{len(entry)} parts; a row is of one: give each an entry of its own")
        return entry
    raise bad_field(where, f"{shown(entry)} is neither a text nor a part")


def embeddings(
    rows: npt.NDArray[np.float32], form: Literal["float", "base64"], model: str, tokens: int
) -> dict[str, Any]:
    """The answer. rows float32 [N, W]; in base64 a row is its bytes, lowest first; tokens: of texts."""
    said: Sequence[object]
    if form == "base64":
        said = [base64.b64encode(row.astype("<f4").tobytes()).decode("ascii") for row in rows]
    else:
        said = rows.tolist()
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": n, "embedding": row} for n, row in enumerate(said)],
        "model": model,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
