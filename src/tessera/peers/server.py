"""What an OpenAI-compatible server feeds: its token ids where it tells them, their number where it does not.

vLLM answers POST /tokenize with the ids of a chat prompt; from 0.17 on with every placeholder of a picture,
before that without (vllm#35834). Any other server still counts: `usage.prompt_tokens` of a one-token answer.
"""

import base64
import mimetypes
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.peers.compare import EnginePrompt
from tessera.runtime.http import Endpoint, RequestError, RequestLimits

NO_SUCH_ROUTE = (404, 405, 501)
NAMED_FILES = ("image", "video")


class Server:
    """An OpenAI-compatible server at `address`, with or without /v1.

    model: the name it serves, by default the first it lists. key: sent as a bearer token.
    """

    def __init__(self, address: str, model: str | None = None, key: str | None = None) -> None:
        self._endpoint = Endpoint(address, key, RequestLimits(attempts=1))
        self.root = self._endpoint.root
        self.model = model

    def prompt(self, messages: Sequence[Mapping[str, Any]], placeholder: int, pictures: int) -> EnginePrompt:
        """The prompt that the server makes of OpenAI-style messages whose media are files.

        placeholder: id of `<IMG_CONTEXT>`; pictures: pictures and clips in the messages. Where the server
        does not show the placeholders, the number of tokens comes from a one-token answer. Raises ValueError
        when the server cannot be reached, refuses the request or answers with something else.
        """
        model = self.model or self._endpoint.first_model()
        body = {"model": model, "messages": with_data_addresses(messages)}
        try:
            answer = self._endpoint.post("/tokenize", body | {"add_generation_prompt": True})
        except RequestError as error:
            if error.status not in NO_SUCH_ROUTE:
                raise
            note = f"{self.root} has no /tokenize: only the number of prompt tokens can be compared"
            return EnginePrompt(self.root, self._count(body), notes=(note,))
        ids = answer.get("tokens")
        if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
            raise ValueError(f"{self.root}/tokenize: the answer has no list of token ids under 'tokens'")
        if not pictures or ids.count(placeholder) > pictures:
            return EnginePrompt(self.root, len(ids), tuple(ids))
        note = (
            f"{self.root}/tokenize does not expand pictures (vLLM before 0.17): the words are compared by "
            "ids, the pictures by the number of prompt tokens of an answer"
        )
        return EnginePrompt(self.root, self._count(body), tuple(ids), notes=(note,))

    def counted(self, messages: Sequence[Mapping[str, Any]]) -> EnginePrompt:
        """The number of tokens alone, for servers that tell no more. ValueError as `prompt`."""
        model = self.model or self._endpoint.first_model()
        note = f"{self.root} shows no ids of a talk: only the number of prompt tokens can be compared"
        body = {"model": model, "messages": with_data_addresses(messages)}
        return EnginePrompt(self.root, self._count(body), notes=(note,))

    def encoded(self, text: str) -> EnginePrompt:
        """LMDeploy's prompt of a first question in words (POST /v1/encode). ValueError as `prompt`."""
        answer = self._endpoint.post("/v1/encode", {"input": text, "do_preprocess": True, "add_bos": True})
        ids = answer.get("input_ids")
        if not isinstance(ids, list) or not all(isinstance(i, int) for i in ids):
            raise ValueError(f"{self.root}/v1/encode: the answer has no list of token ids under 'input_ids'")
        return EnginePrompt(self.root, len(ids), tuple(ids))

    def _count(self, body: Mapping[str, Any]) -> int:
        """Prompt tokens that the server bills, from the usage of a one-token answer."""
        route = "/v1/chat/completions"
        answer = self._endpoint.post(route, {**body, "max_tokens": 1, "temperature": 0.0})
        tokens = (answer.get("usage") or {}).get("prompt_tokens")
        if not isinstance(tokens, int):
            raise ValueError(f"{self.root}{route}: the answer has no usage.prompt_tokens")
        return tokens


def with_data_addresses(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The messages with `{"type": "image", "image": FILE}` written as image_url parts that hold the file."""
    return [
        {**message, "content": [_sendable(part) for part in message["content"]]}
        if isinstance(message["content"], list)
        else dict(message)
        for message in messages
    ]


def _sendable(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part["type"]
    if kind not in NAMED_FILES:
        return dict(part)
    path = Path(part[kind])
    if not path.is_file():
        raise ValueError(f"{kind}: {str(path)!r} is no file; only single files can be sent to a server")
    mime = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    body = base64.b64encode(path.read_bytes()).decode()
    return {"type": f"{kind}_url", f"{kind}_url": {"url": f"data:{mime};base64,{body}"}}
