"""Sounds in the engine: prompts in pieces, shared beginnings, features once, many requests, chat."""

from __future__ import annotations

import functools

import pytest
import torch

from tessera.chat.encoder import Encoded
from tessera.chat.message import Audio
from tessera.engine.completion import Completion
from tessera.engine.core.limits import EngineLimits
from tessera.engine.engine import Engine
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.options import Sampling
from tests.engine import hearing, tiny

STOPS = frozenset({hearing.tokenizer().token_id("<|im_end|>")})
SAMPLING = Sampling(max_new_tokens=10)


def prompts() -> list[Encoded]:
    """Text, a sound, pictures beside sounds, two sounds, and some that begin alike."""
    short, long, other = hearing.sound(0.5), hearing.sound(1.9, 1), hearing.sound(0.5, 2)
    return [
        hearing.prompt("is"),
        hearing.prompt("how many circles", short),
        hearing.prompt("how many circles", other),
        hearing.prompt("the red circle?", long, pictures=(tiny.picture(1),)),
        hearing.prompt("which", short, long),
        hearing.prompt("which", long, short),
        hearing.prompt("blue", Audio(long, 0.2, 0.9), pictures=(tiny.picture(2, 60, 30), tiny.picture(3))),
    ]


@functools.cache
def slowly() -> list[Completion]:
    return [
        generate_slowly(hearing.model(), hearing.tokenizer(), STOPS, each, SAMPLING) for each in prompts()
    ]


def engine(limits: EngineLimits | None = None, max_batch: int = 4) -> Engine:
    return Engine(hearing.model(), hearing.tokenizer(), STOPS, max_batch, limits=limits or EngineLimits())


def test_answers_depend_on_the_sounds() -> None:
    assert slowly()[1].ids != slowly()[2].ids


@pytest.mark.parametrize("tokens", [3, 17, 4000], ids="{} tokens a step".format)
def test_answers_are_those_of_whole_prompts_without_a_cache(tokens: int) -> None:
    """Pieces of a few tokens cut sounds apart; a few blocks make requests give theirs back."""
    decoder = hearing.family().model.decoder
    block = 4 * 2 * decoder.num_hidden_layers * decoder.num_key_value_heads * decoder.head_width * 4
    limits = EngineLimits(tokens_a_step=tokens, block_size=4, cache_bytes=90 * block)
    ours = engine(limits)
    for _ in range(2):  # the second time from what is kept
        found = ours.generate(prompts(), SAMPLING)
        assert [each.ids for each in found] == [each.ids for each in slowly()]


def test_a_sound_is_heard_once_and_other_sounds_share_no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[int] = []
    plain = type(hearing.model()).hear

    def counted(model: object, sounds: list[object]) -> torch.Tensor:
        heard.append(len(sounds))
        return plain(model, sounds)  # type: ignore[arg-type]

    monkeypatch.setattr(type(hearing.model()), "hear", counted)
    ours = engine(EngineLimits(block_size=4))
    first, second = hearing.prompt("is", hearing.sound(1.0)), hearing.prompt("is", hearing.sound(1.0, 5))
    ours.generate([first, first, hearing.prompt("how many circles", hearing.sound(1.0))], SAMPLING)
    assert sum(heard) == 1
    before = ours.loop.stats().reused_tokens
    alone = engine().generate([second], SAMPLING)
    heard.clear()
    assert ours.generate([second], SAMPLING)[0].ids == alone[0].ids
    assert sum(heard) == 1
    # What both have in common ends with the sound's begin.
    shared = ours.loop.stats().reused_tokens - before
    start = first.ids.tolist().index(hearing.tokenizer().token_id("<audio>"))
    assert shared <= start + 1
    heard.clear()
    ours.generate([second], SAMPLING)
    assert not heard and ours.loop.stats().reused_tokens - before - shared > start


def test_placeholders_are_neither_said_nor_guessed() -> None:
    context = hearing.tokenizer().token_id("<AUDIO_CONTEXT>")
    model = hearing.model()
    kept = model.decoder.lm_head.weight[context].clone()
    try:
        with torch.no_grad():
            model.decoder.lm_head.weight[context] = 100 * model.decoder.lm_head.weight.abs().max()
        found = engine().generate(prompts()[:4], SAMPLING)
    finally:
        with torch.no_grad():
            model.decoder.lm_head.weight[context] = kept
    assert all(context not in each.ids for each in found)


def test_chat_takes_sounds_as_it_takes_pictures() -> None:
    model = hearing.chat_model()
    one, options = hearing.sound(0.5), {"max_new_tokens": 6}
    answer = model.chat("how many circles", audios=[one], **options)
    assert answer == model.chat("<audio>\nhow many circles", audios=one, **options)
    part = {"type": "audio", "audio": one}
    talk = [{"role": "user", "content": [part, {"type": "text", "text": "how many circles"}]}]
    assert answer == model.chat(talk, **options)
    assert answer == "".join(model.stream("how many circles", audios=[Audio(one)], **options))
    both = model.chat("the red circle?", tiny.picture(1), audios=one, return_history=True, **options)
    assert both[1][0][0] == "<image>\n<audio>\nthe red circle?"
    second = model.chat("and?", tiny.picture(1), audios=one, history=both[1], **options)
    assert isinstance(second, str)
    batch = model.batch([{"question": "how many circles", "audios": one}, "is"], **options)
    assert batch[0] == answer


def test_mistakes_in_sounds_are_told() -> None:
    model = hearing.chat_model()
    with pytest.raises(ValueError, match=r"audios\[1\]: 7 is no sound; give a file"):
        model.chat("what?", audios=[hearing.sound(0.5), 7])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"audio 'none.wav': unreadable"):
        model.chat("what?", audios="none.wav")
    with pytest.raises(ValueError, match="audios: messages carry their own media"):
        model.chat([{"role": "user", "content": "a"}], audios=hearing.sound(0.5))
    with pytest.raises(ValueError, match="sounds: this model does not hear"):
        engine_without_ears = Engine(tiny.model(), tiny.tokenizer(), STOPS)
        engine_without_ears.generate([hearing.prompt("is", hearing.sound(0.5))], SAMPLING)
