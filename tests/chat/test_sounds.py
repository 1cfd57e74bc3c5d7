"""Sounds in conversations: placeholders by the length alone, their order, and what is said of mistakes."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tessera.chat.cards import card_history, from_card_call
from tessera.chat.message import Audio, Conversation, Image, Text, ask
from tessera.chat.openai import read_messages
from tests.engine import hearing, tiny


def written(*audios: Any, images: tuple[Any, ...] = (), question: str = "what?") -> str:
    talk = Conversation((ask(question, images, audios=audios),))
    return hearing.encoder().render_text(talk, generate=True)


def test_placeholders_are_the_lengths_and_nothing_is_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    import tessera.chat.sounds.rule as rule

    def refuse(*_: object) -> None:
        raise AssertionError("decoded")

    encoder = hearing.encoder()
    talk = Conversation((ask("what?", audios=[hearing.sound(1.0), hearing.sound(2.5)]),))
    encoded = encoder.encode(talk, generate=True)
    monkeypatch.setattr(rule, "read_sound", refuse)
    assert "<audio><AUDIO_CONTEXT>*25</audio>\n<audio><AUDIO_CONTEXT>*62</audio>\nwhat?" in written(
        hearing.sound(1.0), hearing.sound(2.5)
    )
    assert encoder.measure(talk).tokens > 87
    np.testing.assert_array_equal(encoder.prompt_ids(talk), encoded.ids)
    assert [sound.frames for sound in encoded.sounds] == [100, 250]
    assert int((encoded.ids == hearing.tokenizer().token_id("<AUDIO_CONTEXT>")).sum()) == 87


def test_a_picture_stands_before_a_sound() -> None:
    text = written(hearing.sound(1.0), images=(tiny.picture(1),))
    assert "<img><IMG_CONTEXT>*4</img>\n<audio><AUDIO_CONTEXT>*25</audio>\nwhat?" in text


def test_bounds_shorten_the_placeholders() -> None:
    assert "<AUDIO_CONTEXT>*12<" in written(Audio(hearing.sound(2.0), 0.5, 1.0))


def test_the_cards_call_takes_marks_and_puts_them_in_front() -> None:
    one, other = hearing.sound(1.0), hearing.sound(1.5)
    (message,) = from_card_call("what?", ["a.png"], audios=[one]).messages
    assert message.parts == (Image("a.png", None), Text("\n"), Audio(one), Text("\nwhat?"))
    talk = from_card_call("first <audio> then <audio>?", audios=[one, other])
    assert talk.messages[0].parts[1::2] == (Audio(one), Audio(other), Text("?"))[:2]
    with pytest.raises(ValueError, match=r"audios: 2 for 1 <audio> marks"):
        from_card_call("what <audio>?", audios=[one, other])
    again = from_card_call(
        "and now?", history=card_history([("<audio>\nwhat?", "a beep")], talk), audios=[one]
    )
    assert [part for part in again.messages[0].parts if isinstance(part, Audio)] == [Audio(one)]


def test_a_mark_without_a_sound_is_words() -> None:
    with pytest.warns(UserWarning, match="picture, clip or sound would stand"):
        talk = from_card_call("<audio>\nwhat?")
    assert talk.messages[0].parts == (Text("<audio>\nwhat?"),)
    encoder = hearing.encoder()
    assert encoder.context_id not in encoder.prompt_ids(talk)
    assert hearing.tokenizer().token_id("<audio>") not in encoder.prompt_ids(talk)


def test_openai_parts(tmp_path: Path) -> None:
    data = hearing.sound(1.0)
    (tmp_path / "a.wav").write_bytes(data)
    coded = base64.b64encode(data).decode()
    parts: list[dict[str, Any]] = [
        {"type": "input_audio", "input_audio": {"data": coded, "format": "wav"}},
        {"type": "audio_url", "audio_url": {"url": f"data:audio/wav;base64,{coded}"}, "start": 0.25},
        {"type": "audio", "audio": "a.wav", "end": 0.5},
        {"type": "text", "text": "what?"},
    ]
    (message,) = read_messages([{"role": "user", "content": parts}], root=tmp_path).messages
    assert message.parts == (
        *(Audio(data), Text("\n"), Audio(data, 0.25), Text("\n")),
        *(Audio(tmp_path / "a.wav", None, 0.5), Text("\n"), Text("what?")),
    )


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"type": "input_audio"}, r"content\[0\].input_audio: None holds no data; write"),
        ({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}}, "data is empty"),
        ({"type": "input_audio", "input_audio": {"data": "????", "format": "wav"}}, "not valid base64"),
        (
            {"type": "input_audio", "input_audio": {"data": "UklG", "format": "midi"}},
            "format='midi' is unknown",
        ),
        ({"type": "audio_url", "audio_url": {"url": "https://a.b/c.mp3"}}, r"audio_url: .*on the web"),
        ({"type": "audio", "audio": "a.wav", "start": 3, "end": 1}, "start=3 is not before end=1"),
        ({"type": "audio"}, r"audio: missing; name the file"),
    ],
)
def test_mistakes_name_the_part(part: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words) as caught:
        read_messages([{"role": "user", "content": [part]}])
    assert "\n" not in str(caught.value)


def test_too_long_too_short_and_deaf() -> None:
    with pytest.raises(ValueError, match=r"5.00 s, this model hears at most 4 s at once; bound it"):
        written(hearing.sound(5.0))
    with pytest.raises(ValueError, match=r"0.020 s are too short to become a token; give a longer one"):
        written(hearing.sound(0.02))
    with pytest.raises(ValueError, match=r"audio: this model does not hear; open one that does"):
        tiny.encoder().encode(Conversation((ask("what?", audios=[hearing.sound(1.0)]),)))
    with pytest.raises(ValueError, match="the assistant shows pictures, clips or sounds"):
        read_messages([{"role": "assistant", "content": [{"type": "audio", "audio": "a.wav"}]}])
