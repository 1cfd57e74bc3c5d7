"""A server with the nano model for the tests of a file, and the unmodified client; files with limits of their
own have a `served` of their own."""

from collections.abc import Iterator

import openai
import pytest

from tests.serve.served import Served, serving


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as server:
        yield server


@pytest.fixture(scope="module")
def client(served: Served) -> openai.OpenAI:
    return served.client()
