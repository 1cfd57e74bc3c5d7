"""Lines of OpenAI's batch files: a request, and what came back for it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

URL = "/v1/chat/completions"
THOUGHT = "<think>\n"


def batch_request(body: dict[str, Any], *place: str | int) -> dict[str, Any]:
    """A line of a file of requests."""
    return {"custom_id": name_of(*place), "method": "POST", "url": URL, "body": body}


def name_of(*place: str | int) -> str:
    """What finds the answer to a request."""
    return "-".join(map(str, place))


@dataclass(frozen=True)
class BatchReply:
    """What came back for a request: its text and how that ended, or why there is none.

    tokens: of it, 0 where the server doesn't say. logprob: their mean, where it was asked for.
    """

    text: str = ""
    finish: str = ""
    fault: str = ""
    tokens: int = 0
    logprob: float | None = None

    @classmethod
    def of(cls, line: Mapping[str, Any]) -> BatchReply:
        """From a line of answers in OpenAI's batch form; a thought that was set apart is put back."""
        response = line.get("response") or {}
        body = response.get("body") or {}
        if response.get("status_code") != 200:
            error = body.get("error") or line.get("error") or {}
            return cls(fault=str(error.get("message") or f"status {response.get('status_code')}"))
        choice = body["choices"][0]
        said = choice["message"].get("content") or ""
        if thought := choice["message"].get("reasoning_content"):
            said = f"{THOUGHT}{thought}\n</think>\n\n{said}"
        tokens = (body.get("usage") or {}).get("completion_tokens") or 0
        told = [each["logprob"] for each in (choice.get("logprobs") or {}).get("content") or ()]
        mean = sum(told) / len(told) if told else None
        return cls(said, str(choice.get("finish_reason")), "", tokens, mean)

    def behind(self, begun: str) -> str:
        """The whole answer, where its beginning was given; a thought that had begun there goes on."""
        thinking = begun.rfind("<think>") > begun.rfind("</think>")
        return begun + (self.text.removeprefix(THOUGHT) if thinking else self.text)


class BatchReplies:
    """Replies of a file by the names of their requests; they stay on the disk until they are asked for.

    prompt_tokens, cached_tokens: of all requests, as far as the server tells; cut: answers whose tokens ran
    out.
    """

    def __init__(self, file: Path) -> None:
        self.prompt_tokens = self.cached_tokens = self.cut = 0
        self._stream = file.open("rb")
        self._places: dict[str, int] = {}
        place = 0
        for raw in self._stream:
            line = json.loads(raw)
            self._places[str(line["custom_id"])] = place
            self._count(line)
            place += len(raw)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()

    def _count(self, line: Mapping[str, Any]) -> None:
        body = (line.get("response") or {}).get("body") or {}
        self.cut += any(choice.get("finish_reason") == "length" for choice in body.get("choices") or ())
        used = body.get("usage") or {}
        self.prompt_tokens += used.get("prompt_tokens") or 0
        self.cached_tokens += (used.get("prompt_tokens_details") or {}).get("cached_tokens") or 0

    def __contains__(self, name: str) -> bool:
        return name in self._places

    def __getitem__(self, name: str, /) -> BatchReply:
        """One of them; that there is none is a fault of it."""
        if (place := self._places.get(name)) is None:
            return BatchReply(fault="it was not asked yet")
        self._stream.seek(place)
        return BatchReply.of(json.loads(self._stream.readline()))
