"""How far it is from `model.chat` to the first token: the functions that a reader has to follow."""

from __future__ import annotations

import sys
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

import tessera
from tessera.checkpoints.load import Loaded
from tessera.engine.chat_model import ChatModel
from tests.engine import tiny

SOURCE = Path(tessera.__file__).parent
LEAF_ROOMS = ("nn", "models", "imaging", "runtime", "chat/tokenizer", "chat/positions")
LINE, STEP, MODEL = "Loop.submit", "Loop._step", "Runner.run"
"""Where a question becomes one request among others, where a step begins, and where the model is called."""
MOST = {LINE: (21, 13), MODEL: (18, 6)}
"""Functions and files on the way there."""
Step = tuple[str, str]
"""File and name of a function."""


class Walk:
    """Calls of the package's functions from `chat` to a goal, as (caller, called)."""

    def __init__(self, goal: str) -> None:
        self._goal = goal
        self.calls: list[tuple[Step | None, Step]] = []
        self._stack: list[Step | None] = []
        self._arrived = False

    def __call__(self, frame: FrameType, event: str, _: Any) -> None:
        if self._arrived or event not in ("call", "return"):
            return
        if event == "return":
            del self._stack[-1:]
            return
        step = _step(frame)
        if step is not None:
            self.calls.append((next((s for s in reversed(self._stack) if s), None), step))
            self._arrived = step[1] == self._goal
        self._stack.append(step)

    @property
    def path(self) -> list[Step]:
        """Each function that calls another one, in order, and the goal; a leaf is read where it is called."""
        callers = {caller for caller, _ in self.calls}
        steps = dict.fromkeys(called for _, called in self.calls)
        return [step for step in steps if step in callers or step[1] == self._goal]


def _step(frame: FrameType) -> Step | None:
    """File and name; None outside the package, in rooms of leaf computations, for properties and lambdas."""
    code, file = frame.f_code, Path(frame.f_code.co_filename)
    if not file.is_relative_to(SOURCE):
        return None
    place = file.relative_to(SOURCE).as_posix()
    owner = type(frame.f_locals.get("self"))
    is_property = isinstance(getattr(owner, code.co_name, None), property)
    if place.startswith(LEAF_ROOMS) or is_property or code.co_name.startswith("<"):
        return None
    return place, code.co_qualname if sys.version_info >= (3, 11) else code.co_name


def walk(model: ChatModel, goal: str, *question: Any) -> list[Step]:
    found = Walk(goal)
    sys.setprofile(found)
    try:
        model.chat(*question, max_new_tokens=2)
    finally:
        sys.setprofile(None)
    assert found.path[0][1] == "ChatModel.chat" and found.path[-1][1] == goal
    return found.path


@pytest.fixture(scope="module")
def model() -> ChatModel:
    parts = {"model": tiny.model(), "tokenizer": tiny.tokenizer(), "encoder": tiny.encoder()}
    return ChatModel(Loaded(family=tiny.family(), folder=Path("nowhere"), **parts))


@pytest.mark.parametrize("goal", MOST)
def test_a_question_passes_few_functions_and_files(goal: str, model: ChatModel, repo_root: Path) -> None:
    """Counted are distinct functions that hand work on to another: from `chat` to the line of requests, and
    in a step from there to the model.

    Left out are functions that call no other of the package, properties, and what happens inside `nn`,
    `models`, `imaging`, `runtime` and the tokenizer: leaf computations, read where they are called. The page
    docs/tour.md lists the path.
    """
    path = walk(model, goal, "how many?", tiny.picture(1, 60, 30))
    if goal == MODEL:
        path = path[[name for _, name in path].index(STEP) :]
    functions, files = MOST[goal]
    assert len(path) <= functions, path
    assert len({file for file, _ in path}) <= files, path
    tour = (repo_root / "docs" / "tour.md").read_text(encoding="utf-8")
    assert all(f"`{name}`" in tour for _, name in path), path


def test_messages_go_the_same_way_behind_their_reader(model: ChatModel) -> None:
    content = [{"type": "image", "image": tiny.picture(1, 60, 30)}, {"type": "text", "text": "how many?"}]
    asked = walk(model, LINE, "how many?", tiny.picture(1, 60, 30))
    told = walk(model, LINE, [{"role": "user", "content": content}])
    readers = ("chat/cards.py", "chat/openai.py")
    assert [s for s in told if s[0] not in readers] == [s for s in asked if s[0] not in readers]
