"""A process reward model as a critic: one forward pass is step by step, hard judging is greedy decoding."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from tessera.align.critics.critic import Critic
from tessera.align.critics.process import ProcessCritic
from tessera.align.critics.settings import CriticSettings
from tessera.align.critics.written import sign_id
from tessera.align.process.steps import split_steps
from tessera.align.process.talk import RIGHT, SYSTEM, WRONG, judging_talk
from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Part, ask, say
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.checkpoints.load import Loaded
from tessera.engine.chat_model import ChatModel
from tessera.engine.sampling.options import Sampling
from tessera.imaging.grid import Tiling
from tessera.models.config import DecoderKind
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed
from tests.checkpoints import kinds
from tests.engine import tiny

TALK = Conversation((ask("how many circles are there", [tiny.picture(1, 60, 30)]),))
PLAIN = Conversation((ask("blue square"),))
SHORT = "Judge."
"""A prompt of a few tokens, so that training takes seconds."""
RESPONSES = ["the red\n\nis left\n\nof 3", "one step", "the red\n\nis right\n\n\n\nof 4\n\nso 7", "one step"]


def chat_model(model: VLM) -> ChatModel:
    said = {"family": tiny.family(), "tokenizer": tiny.tokenizer(), "folder": Path("nowhere")}
    return ChatModel(Loaded(**said, model=model, encoder=tiny.encoder()))


@pytest.fixture(scope="module")
def model() -> ChatModel:
    return chat_model(tiny.model())


def last_scores(model: ChatModel, talk: Conversation) -> torch.Tensor:
    """Float32 [V] behind the last token of a prompt, computed alone."""
    encoded = model.encoder.encode(talk, generate=True)
    tiles = torch.from_numpy(encoded.tiles) if len(encoded.tiles) else None
    with torch.inference_mode():
        ids = torch.from_numpy(encoded.ids).long()
        hidden = model.loaded.model(ids, Packed((len(ids),)), tiles=tiles)
        scores: torch.Tensor = model.loaded.model.logits(hidden[-1:])[0].float()
    return scores


def step_by_step(model: ChatModel, question: Sequence[Part], steps: Sequence[str]) -> list[float]:
    """The slow oracle: every step has a prompt of its own, with + for all before it."""
    signs = [model.tokenizer.encode(sign)[0] for sign in (RIGHT, WRONG)]
    found = []
    for number in range(1, len(steps) + 1):
        talk = judging_talk(question, steps[:number], [RIGHT] * (number - 1))
        found.append(float(last_scores(model, talk)[signs].softmax(0)[0]))
    return found


def test_small_steps_of_position_are_the_model_s_own(model: ChatModel) -> None:
    """V2PE: behind a picture every branch stands where it would stand alone."""
    family = tiny.family().model_copy(update={"visual_increment": 0.25})
    loaded = replace(model.loaded, family=family)
    whole = ProcessCritic(ChatModel(loaded)).score(TALK, RESPONSES)
    single = [ProcessCritic(ChatModel(loaded)).score(TALK, [response])[0] for response in RESPONSES]
    for one, alone in zip(whole, single, strict=True):
        assert one.steps == pytest.approx(alone.steps, abs=1e-5)
    assert whole[0].steps != pytest.approx(ProcessCritic(model).score(TALK, RESPONSES)[0].steps, abs=1e-4)


@pytest.mark.parametrize("talk", [TALK, PLAIN], ids=["picture", "text"])
@pytest.mark.parametrize("most_tokens", [16_384, 1], ids=["together", "alone"])
def test_one_forward_is_step_by_step(model: ChatModel, talk: Conversation, most_tokens: int) -> None:
    critic: Critic = ProcessCritic(model, CriticSettings(most_tokens=most_tokens))
    judged = critic.score(talk, RESPONSES)
    assert [len(one.steps) for one in judged] == [3, 1, 4, 1] and judged[1] == judged[3]
    for response, one in zip(RESPONSES, judged, strict=True):
        steps = [step.text for step in split_steps(response)]
        expected = step_by_step(model, talk.messages[0].parts, steps)
        assert one.steps == pytest.approx(expected, abs=1e-5)
        assert one.score == pytest.approx(sum(expected) / len(expected), abs=1e-5)
    assert len({round(score, 4) for one in judged for score in one.steps}) > 5, "scores must differ"


@pytest.mark.parametrize("kind", ["internlm2", "phi3"])
def test_angles_that_depend_on_the_length_are_not_shared(kind: DecoderKind) -> None:
    """Beyond the trained length dynamic and long rotation turn every token by the length of its own talk."""
    family = kinds.family(kind).model_copy(update={"template": "internvl2_5"})
    decoder = family.model.decoder.model_copy(update={"max_position_embeddings": 150})
    assert decoder.rope_scaling
    trained = decoder.rope_scaling.model_copy(update={"original_max_position_embeddings": 150})
    decoder = decoder.model_copy(update={"rope_scaling": trained})
    family = family.model_copy(update={"model": family.model.model_copy(update={"decoder": decoder})})
    vlm = VLM(family.model).eval()
    vlm.load_state_dict(kinds.model(kind).state_dict())
    encoder = family.encoder(tiny.tokenizer())
    said = {"family": family, "tokenizer": tiny.tokenizer(), "folder": Path("nowhere")}
    long = ChatModel(Loaded(**said, model=vlm, encoder=encoder))
    critic = ProcessCritic(long, CriticSettings(system=SHORT))
    responses, found = ["the red\n\n" + "is left " * 20, "two\n\nsteps"], list[int]()
    for response, one in zip(responses, critic.score(PLAIN, responses), strict=True):
        steps = [step.text for step in split_steps(response)]
        talk = critic.writer.write(PLAIN.messages[0].parts, steps, "+" * len(steps), [])
        with torch.inference_mode():
            ids = torch.from_numpy(talk.ids).long()
            scores = vlm.logits(vlm(ids, Packed((len(ids),)))).float()
        alone = scores[[place - 1 for place in talk.places]][:, list(critic.writer.signs)].softmax(-1)[:, 0]
        assert one.steps == pytest.approx(alone.tolist(), abs=1e-5)
        found.append(len(ids))
    assert found[1] < decoder.trained_length < found[0] < decoder.longest_context


def test_the_picture_is_seen_once(model: ChatModel, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    look = model.loaded.model.see
    monkeypatch.setattr(model.loaded.model, "see", lambda tiles: seen.append(len(tiles)) or look(tiles))
    ProcessCritic(model).score(TALK, RESPONSES)
    ProcessCritic(model).score(PLAIN, RESPONSES)
    assert len(seen) == 1 and seen[0] > 1


@pytest.fixture(scope="module")
def judge() -> ChatModel:
    """The tiny model, trained on a few talks until it says + and - where they are due."""
    vlm = copy.deepcopy(tiny.model()).train()
    encoder = tiny.encoder()
    talks = [
        judging_talk(ask(f"is {n} red").parts, [f"step {n}", f"so {n * n}", f"left {n}"], labels, SHORT)
        for n, labels in enumerate(["+++", "+--", "--+", "-+-", "++-", "+-+"])
    ]
    batch = [encoder.encode(talk) for talk in talks]
    ids = torch.cat([torch.from_numpy(each.ids) for each in batch]).long()
    trained = torch.cat([torch.from_numpy(each.weights) for each in batch]).bool()[1:]
    layout = Packed(tuple(len(each.ids) for each in batch))
    chosen = torch.optim.AdamW(vlm.decoder.parameters(), lr=3e-3)
    for _ in range(120):
        loss = F.cross_entropy(vlm.logits(vlm(ids, layout)[:-1][trained]), ids[1:][trained])
        chosen.zero_grad()
        loss.backward()
        chosen.step()
        if loss < 0.02:
            break
    return chat_model(vlm.eval())


def greedily(model: ChatModel, question: Sequence[Part], steps: Sequence[str], early: bool) -> list[float]:
    """The published way: the model answers each step, its answers stay in view."""
    said: list[str] = []
    for number in range(1, len(steps) + 1):
        prompt = model.encoder.encode(judging_talk(question, steps[:number], said, SHORT), generate=True)
        (done,) = model.engine.generate([prompt], Sampling(max_new_tokens=10))
        said.append(done.text if done.text in (RIGHT, WRONG) else WRONG)
        if early and said[-1] == WRONG:
            break
    return [0.0 if verdict == RIGHT else -100.0 for verdict in said]


@pytest.mark.parametrize("early", [False, True])
def test_hard_judging_is_greedy_decoding(judge: ChatModel, early: bool) -> None:
    critic = ProcessCritic(judge, CriticSettings(mode="hard", early_stop=early, system=SHORT))
    kinds_seen = set()
    for n in range(8):
        question = Conversation((ask(f"is {n % 6} red"),))
        responses = [f"step {n}\n\nso {n * n}\n\nleft {n}", f"step {n + 1}\n\nleft {n}", f"so {n}"]
        judged = critic.score(question, responses)
        for response, one in zip(responses, judged, strict=True):
            expected = greedily(judge, question.messages[0].parts, response.split("\n\n"), early)
            assert list(one.steps) == expected and one.score == sum(expected)
            kinds_seen.add(tuple(expected))
    assert (0.0, 0.0, 0.0) in kinds_seen and len(kinds_seen) >= 4, kinds_seen


def test_answers_that_are_no_verdict_count_as_wrong(model: ChatModel) -> None:
    """The random model says neither + nor -."""
    critic = ProcessCritic(model, CriticSettings(mode="hard"))
    (judged,) = critic.score(PLAIN, ["a\n\nb"])
    assert judged.steps == (-100.0, -100.0) and judged.score == -200.0


def test_orm_is_one_step_and_steps_are_merged(model: ChatModel) -> None:
    whole = ProcessCritic(model, CriticSettings(mode="orm")).score(PLAIN, RESPONSES[:1])
    assert whole[0].steps == pytest.approx(step_by_step(model, PLAIN.messages[0].parts, RESPONSES[:1]))
    merged = ProcessCritic(model, CriticSettings(max_steps=2)).score(PLAIN, [RESPONSES[2]])
    steps = ["the red\n\nis right", "of 4\n\nso 7"]
    # Between the second and the third piece stood two blank lines.
    assert merged[0].steps == pytest.approx(step_by_step(model, PLAIN.messages[0].parts, steps), abs=1e-5)


@pytest.mark.parametrize(
    "aggregate, score", [(None, 0.5), ("mean", 0.5), ("min", 0.2), ("max", 0.9), ("sum", 1.5)]
)
def test_steps_become_a_score(aggregate: str | None, score: float) -> None:
    settings = CriticSettings(aggregate=aggregate)  # type: ignore[arg-type]
    assert settings.overall([0.2, 0.4, 0.9]) == pytest.approx(score)
    assert CriticSettings(mode="hard").overall([0.0, -100.0]) == -100.0


def test_earlier_turns_are_part_of_the_question(model: ChatModel) -> None:
    turns = (say("user", "a"), say("assistant", "b"), say("user", "c"))
    talk = Conversation((say("system", "Be kind."), *turns))
    flat = Conversation((say("user", "a\n\nb\n\nc"),))
    critic = ProcessCritic(model)
    assert critic.score(talk, RESPONSES) == critic.score(flat, RESPONSES)
    assert critic.score(flat, []) == []


def test_an_empty_response_is_worst(model: ChatModel) -> None:
    critic = ProcessCritic(model)
    alone, between = critic.score(PLAIN, ["a"]), critic.score(PLAIN, ["", "a", "\n\n "])
    assert between[1].score == pytest.approx(alone[0].score, abs=1e-6)
    assert [(one.score, one.steps) for one in (between[0], between[2])] == [(0.0, ())] * 2
    hard = ProcessCritic(model, CriticSettings(mode="hard")).score(PLAIN, [""])
    assert hard[0].score == -100.0 and hard[0].steps == ()


def test_what_can_not_be_rated_is_named(model: ChatModel) -> None:
    critic = ProcessCritic(model)
    with pytest.raises(ValueError, match="the last turn is not the user's"):
        critic.score(Conversation((say("user", "a"), say("assistant", "b"))), ["a"])
    with pytest.raises(ValueError, match=r"responses\[2\]: question and steps have \d+ tokens"):
        critic.score(PLAIN, ["a", "", "x " * 5000])


def test_signs_are_single_tokens(model: ChatModel) -> None:
    with pytest.raises(ValueError, match=r"'\+-' is no token of its own behind '<\|im_start\|>assistant"):
        sign_id(model.encoder, "+-")


RELEASED = [("internvl2_5", "internvl3"), ("internvl2_5", "internlm2_internvl2"), ("internvl_zh", "llama2")]


@pytest.mark.parametrize(("name", "kind"), RELEASED)
def test_released_tokenizers_have_both_signs(
    name: str, kind: str, real_tokenizer: Callable[[str], Tokenizer]
) -> None:
    tokenizer = real_tokenizer(kind)
    encoder = Encoder(tokenizer, TEMPLATES[name], Tiling(tile_side=448, min_tiles=1, max_tiles=1), 4)
    for sign in (RIGHT, WRONG):
        assert tokenizer.decode([sign_id(encoder, sign)]).strip() == sign


@pytest.mark.parametrize("system", [None, "", "Judge the steps."])
def test_a_published_reward_model_opens(tmp_path: Path, system: str | None) -> None:
    """Class InternVLRewardModel, official names of tensors; the config's prompt counts where it has one."""
    folder = kinds.saved(tmp_path / "prm", "internlm2")
    config = json.loads((folder / "config.json").read_text())
    config |= {"architectures": ["InternVLRewardModel"], "system_message": system, "template": "internvl2_5"}
    config["auto_map"] = {"AutoModel": "modeling_internvl_chat.InternVLRewardModel"}
    (folder / "config.json").write_text(json.dumps(config))
    critic = ProcessCritic.open(folder, aggregate="min", loading={"dtype": "float32"})
    assert critic.writer.system == (system or SYSTEM)
    judged = critic.score(TALK, RESPONSES)
    assert all(0 < score < 1 for one in judged for score in one.steps)
    assert judged[0].score == min(judged[0].steps)
    assert ProcessCritic(critic.model, CriticSettings(system="Else.")).writer.system == "Else."
