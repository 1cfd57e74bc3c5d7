"""What `usage` tells beside the sums: tokens of the prompt that the cache held, tokens of the thought."""

from __future__ import annotations

import openai

from tessera.engine.core.ticket import Event
from tessera.serve.said import Said
from tests.engine import tiny
from tests.serve.served import Served, says, shows


def test_tokens_of_the_prompt_that_were_there(served: Served, client: openai.OpenAI) -> None:
    """Whole blocks of it, and never the last token. In every endpoint; `n` answers share one prompt."""
    talk = says(shows(tiny.picture(3, 60, 30)), "how many circles are there left of the blue square?")
    size = served.alone.engine.limits.block_size
    found = []
    for n in (1, 1, 2):
        done = client.chat.completions.create(model="nano", messages=talk, max_tokens=3, n=n)
        assert done.usage and done.usage.prompt_tokens_details
        found.append(done.usage.prompt_tokens_details.cached_tokens)
        blocks = (done.usage.prompt_tokens - 1) // size * size
        assert done.usage.completion_tokens_details.reasoning_tokens == 0  # type: ignore[union-attr]
    assert 0 <= found[0] < size and found[1:] == [blocks, blocks]
    chunks = client.chat.completions.create(
        model="nano", messages=talk, max_tokens=3, stream=True, stream_options={"include_usage": True}
    )
    assert list(chunks)[-1].usage.prompt_tokens_details.cached_tokens == blocks  # type: ignore[union-attr]
    asked = "the red circle is left of the blue square " * 4
    raw = [client.completions.create(model="nano", prompt=asked, max_tokens=2).usage for _ in range(2)]
    assert raw[1] and raw[1].prompt_tokens_details and raw[1].prompt_tokens_details.cached_tokens >= size
    again = client.responses.create(model="nano", input=asked, max_output_tokens=2)
    again = client.responses.create(model="nano", input=asked, max_output_tokens=2)
    assert again.usage and again.usage.input_tokens_details.cached_tokens >= size


def counted(*pieces: str, begun: str = "") -> tuple[int, int]:
    """Tokens and tokens of the thought, where every piece is two tokens."""
    said = Said(0, 1, apart=True, begun=begun)
    for number, piece in enumerate(pieces):
        said.take(Event(piece, (1, 2), finish="stop" if number == len(pieces) - 1 else None))
    return said.tokens, said.thought_tokens


def test_tokens_of_the_thought() -> None:
    assert counted("I see", " a dog") == (4, 0)
    assert counted("<th", "ink>", "hm", "</think>", "\n\na dog") == (10, 8)
    assert counted("<think>hm</think> a", " dog") == (4, 2)
    assert counted("<think>", "hm", " hm") == (6, 6), "a thought that was never closed"
    assert counted("<think>hm", "</think>", "a", begun="<think>") == (6, 4), "begun by the client"
    assert counted("<thin air", " and more") == (4, 0)
