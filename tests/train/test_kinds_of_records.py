"""A stage takes records of one kind: conversations or pairs. The other kind is told before the first step."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from tessera.chat.encoder import Encoder
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.imaging.grid import Tiling
from tessera.packing.pack import collate
from tessera.records.faults import DataError
from tessera.records.forms.detect import parse_as
from tessera.records.manifest import PlaygroundSource
from tessera.records.record import RecordPlace
from tessera.train.objective.contract import ManifestSpec, StageData
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.policies.loader import split_answer
from tessera.train.objective.preference import PreferenceObjective
from tests.packing.test_pack_branches import branched
from tests.records.jsonl_files import turns, write_records

PAIR = {"question": "what is it?", "chosen": "a dog", "rejected": "a cat"}
TALK = {"conversations": turns("what is it?", "a cat")}


@pytest.fixture(scope="module")
def learner() -> Any:
    tokenizer = train_tokenizer(["what is it? a cat a dog"], 300)
    tiling = Tiling(tile_side=16, max_tiles=6)
    return SimpleNamespace(encoder=Encoder(tokenizer, TEMPLATES["internvl2_5"], tiling, 4, system_text=""))


def stage(folder: Path, *records: dict[str, Any]) -> StageData:
    write_records(folder / "a.jsonl", records)
    (folder / "meta.json").write_text(json.dumps({"a": {"root": ".", "annotation": "a.jsonl"}}))
    return StageData(name="only", sources=(ManifestSpec(meta=str(folder / "meta.json")),))


def test_each_objective_takes_its_kind(tmp_path: Path, learner: Any) -> None:
    for objective, record in ((ConversationObjective(), TALK), (PreferenceObjective(), PAIR)):
        (source,), report = objective.check(stage(tmp_path, record, record), learner)
        assert (source.source.size, report.faults) == (2, ())


def test_the_other_kind_is_told_with_the_objective_that_fits(tmp_path: Path, learner: Any) -> None:
    with pytest.raises(DataError, match=r"a.jsonl:1: record: two answers where one .*'preference' .*mpo"):
        ConversationObjective().check(stage(tmp_path, PAIR, PAIR), learner)
    with pytest.raises(DataError, match=r"a.jsonl:1: record: one answer where two .*'conversation'"):
        PreferenceObjective().check(stage(tmp_path, TALK, TALK), learner)


def test_drawn_pictures_are_no_pairs(learner: Any) -> None:
    data = StageData(name="only", sources=(PlaygroundSource(),))
    with pytest.raises(ValueError, match="stage 'only': drawn pictures come with one answer each"):
        PreferenceObjective().check(data, learner)


def test_a_pair_is_a_question_for_policies() -> None:
    """On-policy training asks the prompt and judges by the chosen answer."""
    talk = parse_as("mmpr", PAIR, RecordPlace(Path("a.jsonl"), 1, Path()))
    prompt, answer = split_answer(talk)
    assert ([m.text for m in prompt.messages], prompt.alternatives, answer) == (["what is it?"], (), "a dog")


def test_no_loss_is_taken_over_both_answers() -> None:
    """Whatever came past the check: a conversation's loss on a pair would teach the rejected answer."""
    pack: Any = collate([branched("a:7", 5, 2, 3)])
    model: Any = None
    with pytest.raises(ValueError, match="a:7: several answers to one prompt"):
        ConversationObjective().loss_sum(model, pack, torch.device("cpu"))
