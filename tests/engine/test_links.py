"""States of link tokens: those of a full pass, however the answer was made; and how they reach the caller."""

from __future__ import annotations

import asyncio
import functools
import pickle

import numpy as np
import pytest
import torch

from tessera.chat.encoder import Encoded
from tessera.chat.message import Conversation, ask, say
from tessera.checkpoints.load import load_checkpoint
from tessera.curation.report.seen import cut_pieces
from tessera.engine.chat_model import ChatModel
from tessera.engine.completion import Completion
from tessera.engine.core.limits import EngineLimits
from tessera.engine.engine import Engine
from tessera.engine.links.decoders import LinkRequest, LinkResult
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.options import Sampling
from tessera.nn.attention.layout import Packed
from tests.engine import linked, tiny

SEG, GEN = (linked.tokenizer().token_id(name) for name in ("[SEG]", "[GEN]"))
BIAS = ((SEG, 9.0), (GEN, 8.0))
SAMPLINGS = {
    "greedy": Sampling(max_new_tokens=40, logit_bias=BIAS, repetition_penalty=1.3),
    "warm": Sampling(max_new_tokens=40, temperature=1.0, seed=5, logit_bias=BIAS),
    "told": Sampling(max_new_tokens=40, temperature=1.2, seed=2, logit_bias=BIAS, logprobs=2),
}
LIMITS = {
    "usual": EngineLimits(guesses_a_step=0),
    "guessing": EngineLimits(guesses_a_step=16),
    "pieces": EngineLimits(tokens_a_step=4, block_size=4, tiles_a_step=1),
    "crowded": EngineLimits(cache_bytes=60_000, block_size=4),
}


def slowly(prompt: Encoded, sampling: Sampling) -> Completion:
    encoder = linked.encoder()
    return generate_slowly(
        linked.model(), linked.tokenizer(), encoder.stop_ids, prompt, sampling, slots=encoder.slots
    )


def require_equal(found: Completion, expected: Completion) -> None:
    """Everything but rounding in states and log-probabilities."""
    assert (found.text, found.ids, found.finish) == (expected.text, expected.ids, expected.finish)
    assert [one.id for one in found.logprobs] == [one.id for one in expected.logprobs]
    assert [(one.token, one.place) for one in found.links] == [
        (one.token, one.place) for one in expected.links
    ]
    for one, other in zip(found.links, expected.links, strict=True):
        assert one.states.shape == other.states.shape and one.states.dtype == torch.float32
        torch.testing.assert_close(one.states, other.states, atol=1e-5, rtol=1e-5)


@functools.cache
def expected_of(name: str) -> list[Completion]:
    return [slowly(prompt, SAMPLINGS[name]) for prompt in linked.prompts()]


@pytest.mark.parametrize("limits", LIMITS)
@pytest.mark.parametrize("name", SAMPLINGS)
def test_states_equal_the_slow_reference(name: str, limits: str) -> None:
    sampling, expected = SAMPLINGS[name], expected_of(name)
    engine = linked.engine(LIMITS[limits])
    found = engine.generate(linked.prompts(), sampling)
    for one, other in zip(found, expected, strict=True):
        require_equal(one, other)
    assert {link.token for one in found for link in one.links} == {SEG, GEN}
    assert sum(len(one.links) for one in found) > 2
    if limits == "crowded":
        assert engine.loop.stats().preemptions, "without it this would test nothing"


def test_states_are_those_of_a_full_pass_over_ids_written_by_hand() -> None:
    """Neither engine nor encoder has a part in what is expected: prompt, answer and slots laid end to end."""
    prompt = linked.prompts()[1]
    (done,) = linked.engine().generate([prompt], SAMPLINGS["warm"])
    first = linked.family().model.decoder.vocab_size
    behind = {SEG: [first, first + 1, first + 2], GEN: list(range(first + 3, first + 9))}
    ids, places = prompt.ids.tolist(), []
    for token in done.ids:
        ids.append(token)
        if token in behind and len(places) < len(done.links):
            places.append((len(ids), len(ids) + len(behind[token])))
            ids += behind[token]
    model = linked.model()
    assert model.links is not None
    stream = torch.tensor(ids)
    words = model.embed(stream.clamp(max=first - 1), torch.from_numpy(prompt.tiles))
    words[stream >= first] = model.links.queries[stream[stream >= first] - first]
    with torch.inference_mode():
        hidden = model.decoder(words, Packed((len(ids),)))
    assert len(places) == len(done.links) > 1
    for link, (start, stop) in zip(done.links, places, strict=True):
        torch.testing.assert_close(link.states, hidden[start:stop], atol=1e-5, rtol=1e-5)


def test_what_others_computed_is_used_but_for_the_slots() -> None:
    """The same question again: prompt and answer are in the cache, the states of its links are not."""
    engine = linked.engine(EngineLimits(block_size=4))
    prompt, sampling = linked.prompts()[1], SAMPLINGS["warm"]
    (first,) = engine.generate([prompt], sampling)
    before = engine.loop.stats().reused_tokens
    (again,) = engine.generate([prompt], sampling)
    require_equal(again, first)
    assert first.links and engine.loop.stats().reused_tokens > before


def test_a_link_without_room_ends_the_answer() -> None:
    """A link takes 1 + N of max_new_tokens; one that does not fit is said, but has no states."""
    prompt = linked.prompts()[0]
    only = Sampling(max_new_tokens=8, logit_bias=((SEG, 100.0),))
    for most, links, said in ((8, 2, 2), (7, 1, 2), (4, 1, 1), (3, 0, 1)):
        (done,) = linked.engine().generate([prompt], only.model_copy(update={"max_new_tokens": most}))
        assert (len(done.links), len(done.ids), done.finish) == (links, said, "length")
        require_equal(done, slowly(prompt, only.model_copy(update={"max_new_tokens": most})))


def test_stops_at_a_link() -> None:
    """A stop string that is the link's name ends before it; a grammar's last token still has its states."""
    prompt = linked.prompts()[0]
    bias = ((SEG, 100.0),)
    (cut,) = linked.engine().generate([prompt], Sampling(logit_bias=bias, stop=("[SEG]",)))
    assert (cut.text, cut.links, cut.finish) == ("", (), "stop")
    (ended,) = linked.engine().generate([prompt], Sampling(logit_bias=bias, stop_token_ids=(SEG,)))
    assert (ended.ids, ended.links, ended.finish) == ((), (), "stop")
    pytest.importorskip("llguidance")
    form = Sampling.model_validate({"grammar": {"regex": r"red (\[SEG\]|b)"}, "logit_bias": bias})
    (held,) = linked.engine().generate([prompt], form)
    assert (held.text, held.finish, len(held.links)) == ("red [SEG]", "stop", 1)
    assert held.links[0].states.shape == (3, linked.family().model.decoder.hidden_size)


def test_a_history_holds_the_slots_that_the_answer_had() -> None:
    """What was generated and what is read back in the next turn are the same stream, and so is a record."""
    encoder, prompt = linked.encoder(), linked.prompts()[1]
    (done,) = linked.engine().generate([prompt], Sampling(max_new_tokens=9, logit_bias=((SEG, 100.0),)))
    talk = Conversation((ask("the red circle?", (tiny.picture(1),)), say("assistant", done.text)))
    record = encoder.encode(talk)
    start, first = len(prompt.ids), encoder.slots.first
    answer = record.ids[start:].tolist()
    assert answer[:8] == [SEG, first, first + 1, first + 2] * 2
    assert not record.weights[record.ids >= first].any()
    assert record.weights[record.ids == SEG].all()
    assert encoder.measure(talk).tokens == len(record.ids)
    assert encoder.measure(talk).trained == np.count_nonzero(record.weights)
    assert "[SEG][SEG]" in encoder.render_text(talk)
    shown = [piece.text for piece in cut_pieces(encoder, record.ids, record.weights)]
    assert shown.count("[3 slots]") == done.text.count("[SEG]")
    assert shown[shown.index("[3 slots]") - 1] == "[SEG]"
    asked = encoder.encode(Conversation((ask("is [SEG] a word?", ()),)), generate=True)
    assert not (asked.ids >= first).any(), "nobody wrote a link in a question"
    later = Conversation((*talk.messages, ask("and now?", ())))
    (more,) = linked.engine().generate(
        [encoder.encode(later, generate=True)], Sampling(repetition_penalty=1.3, max_new_tokens=3)
    )
    assert more.ids


@pytest.fixture(scope="module")
def chatting(tmp_path_factory: pytest.TempPathFactory) -> ChatModel:
    return ChatModel(load_checkpoint(linked.saved(tmp_path_factory.mktemp("linked"))))


def test_answers_give_links(chatting: ChatModel) -> None:
    options = {"logit_bias": {SEG: 100.0}, "max_new_tokens": 8}
    answer = chatting.chat("where?", tiny.picture(1, 40, 20), **options)  # type: ignore[arg-type]
    assert answer == "[SEG][SEG]" and [link.token for link in answer.links] == ["[SEG]"] * 2
    link = answer.links[0]
    assert link.states.shape == (3, 32) and link.projected.shape == (3, 16) and link.decodable
    (mask,) = link.result.masks
    assert mask.pixels.shape == (20, 40) and mask.pixels.dtype == np.bool_ and mask.picture == 0
    stream = chatting.stream("where?", tiny.picture(1, 40, 20), **options)  # type: ignore[arg-type]
    assert "".join(stream) == answer
    (batched,) = chatting.batch([{"question": "where?", "pictures": tiny.picture(1, 40, 20), **options}])
    awaited = asyncio.run(chatting.achat("where?", tiny.picture(1, 40, 20), **options))  # type: ignore[arg-type]
    for other in (stream.answer, batched, awaited):
        assert [one.place for one in other.links] == [0, 1]
        torch.testing.assert_close(other.links[1].states, answer.links[1].states, atol=1e-5, rtol=1e-5)
        assert np.array_equal(other.links[0].result.masks[0].pixels, mask.pixels)
    assert pickle.loads(pickle.dumps(answer)) == answer
    assert repr(chatting).endswith("links [SEG] to masks, [GEN] to pictures")


def test_a_registered_decoder_gets_states_and_pictures(chatting: ChatModel) -> None:
    given: list[LinkRequest] = []

    def draw(link: LinkRequest) -> LinkResult:
        given.append(link)
        return LinkResult(pictures=(link.pictures[0].picture(),))

    options = {"logit_bias": {GEN: 100.0}, "max_new_tokens": 7}
    answer = chatting.chat("paint", [tiny.picture(1), tiny.picture(2, 60, 30)], **options)  # type: ignore[arg-type]
    (link,) = answer.links
    assert not link.decodable
    with pytest.raises(ValueError, match=r"\[GEN\]: its decoder 'pictures' is not there; give it with model"):
        _ = link.result
    with pytest.raises(ValueError, match="decoder = 'picture': no link token of this model names it"):
        chatting.register_decoder("picture", draw)
    chatting.register_decoder("pictures", draw)
    assert link.result is link.result and len(given) == 1
    assert [one.cut.size for one in given[0].pictures] == [(16, 16), (60, 30)]
    assert [len(one.tiles) for one in given[0].pictures] == [one.cut.tiles for one in given[0].pictures]
    assert given[0].states.shape == (6, 5)
    assert link.result.pictures[0].size == (16, 16)


def test_bad_requests(chatting: ChatModel) -> None:
    with pytest.raises(
        ValueError, match=r"prefill: '\[SEG\]' is a link token, which the model writes itself"
    ):
        chatting.chat("where?", prefill="here [SEG]")
    answer = chatting.chat("where?", logit_bias={SEG: 100.0}, max_new_tokens=4)
    with pytest.raises(ValueError, match=r"\[SEG\]: a mask needs a picture; the question has none"):
        _ = answer.links[0].result


def test_models_without_links_are_as_they_were() -> None:
    engine = Engine(tiny.model(), tiny.tokenizer(), tiny.encoder().stop_ids)
    (done,) = engine.generate(tiny.mixed_prompts()[:1])
    assert done.links == () and "links" not in tiny.encoder().describe()
