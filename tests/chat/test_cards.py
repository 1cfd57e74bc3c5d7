"""The model cards' calls give the ids of the cards' code: tags, prefixes, histories, tile counts, frames."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from tessera.chat.cards import card_history, card_question, from_card_call
from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, Image, Text, Video, ask
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer
from tessera.imaging.grid import Tiling
from tests.chat.official import inference, load_official

Get = Callable[[str], Tokenizer]
RED = PIL.Image.new("RGB", (64, 64), (255, 0, 0))
FAMILIES = [("internvl2_5", "internvl3"), ("internlm2-chat", "internlm2_internvl2"), ("phi3-chat", "phi3")]


@pytest.fixture
def pictures(shared_data: Path) -> list[Path]:
    """The two pictures of the model cards."""
    return [shared_data / "images" / name for name in ("red_panda_1000x747.jpg", "panda_1000x1000.jpg")]


def encoder_of(tokenizer: Tokenizer, name: str, **options: object) -> Encoder:
    return Encoder(tokenizer, TEMPLATES[name], Tiling(), 256, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("name", "kind"), FAMILIES)
def test_the_calls_of_the_model_cards(
    name: str, kind: str, pictures: list[Path], real_tokenizer: Get, shared_data: Path
) -> None:
    """Every example of the cards, `load_image(max_num=12)`: 13 tiles, then 10."""
    encoder = encoder_of(real_tokenizer(kind), name)
    encode, bos = load_official(kind, shared_data / "tokenizers")
    one, two = pictures
    talk = "<image>\nPlease describe the image in detail."
    both = "Image-1: <image>\nImage-2: <image>\nDescribe the two images in detail."
    combined = "<image>\nDescribe the two images in detail."
    later = "What are the similarities and differences between these two images."
    calls = [
        # pictures, question, history, num_patches_list, tiles of each mark
        ([], "Hello, who are you?", None, None, []),
        ([], "Can you tell me a story?", [("Hello, who are you?", "I am.")], None, []),
        ([one], talk, None, None, [13]),
        ([one], "Please write a poem.", [(talk, "A panda.")], None, [13]),
        ([one, two], combined, None, None, [23]),
        ([one, two], combined, None, [23], [23]),
        ([one, two], later, [(combined, "Two pandas.")], None, [23]),
        ([one, two], both, None, [13, 10], [13, 10]),
        ([one, two], later, [(both, "Two.\nPandas.")], [13, 10], [13, 10]),
        ([one, two], "<image>\n And this? ", [(talk, "A panda.")], None, [13, 10]),
    ]
    for given, question, history, counts, tiles in calls:
        conversation = from_card_call(question, given, history, counts, max_tiles=12)
        encoded = encoder.encode(conversation, generate=True)
        turns = [turn for q, a in history or [] for turn in (("user", q), ("assistant", a))]
        turns.append(("user", question))
        assert encoded.ids.tolist() == inference(name, turns, encode, bos, tiles, 256), question
        assert encoded.tiles_per_image == tuple(tiles)
        assert len(encoded.tiles) == sum(tiles)


def test_the_first_question_gets_its_tag_and_the_history_keeps_it() -> None:
    assert card_question("What?", [RED]) == "<image>\nWhat?"
    assert card_question("What?", [RED], history=[]) == "What?"
    assert card_question("See <image>?", [RED]) == "See <image>?"
    assert card_question("What?") == "What?"
    assert card_question("What?", videos=["a.mp4"]) == "<video>\nWhat?"
    parts = from_card_call("What?", [RED]).messages[0].parts
    assert parts == (Image(RED), Text("\nWhat?"))


def test_video_frames_as_pictures_and_as_a_clip(real_tokenizer: Get, shared_data: Path) -> None:
    """`load_video` with `num_patches_list` of ones and a prefix of `Frame{i+1}: <image>`; our clip part."""
    frames = tuple(PIL.Image.new("RGB", (80, 60), (40 * i, 0, 0)) for i in range(4))
    encode, bos = load_official("internvl3", shared_data / "tokenizers")
    for label, words in (("cards", "Frame{}: "), ("training", "Frame-{}: ")):
        encoder = encoder_of(real_tokenizer("internvl3"), "internvl2_5", frame_label=label)
        question = "".join(f"{words.format(i + 1)}<image>\n" for i in range(4)) + "What happens?"
        as_cards = encoder.encode(from_card_call(question, frames, None, [1] * 4), generate=True)
        as_clip = encoder.encode(Conversation((ask("What happens?", videos=[Video(frames)]),)), generate=True)
        marked = from_card_call("<video>\nWhat happens?", videos=[Video(frames)])
        official = inference("internvl2_5", [("user", question)], encode, bos, [1] * 4, 256)
        assert as_cards.ids.tolist() == as_clip.ids.tolist() == official
        assert encoder.encode(marked, generate=True).ids.tolist() == official
        assert np.array_equal(as_cards.tiles, as_clip.tiles)


@pytest.mark.parametrize("max_num", [1, 2, 3, 4, 6, 7, 9, 12, 24])
def test_num_patches_list_brings_back_the_grid(
    max_num: int, pictures: list[Path], real_tokenizer: Get, shared_data: Path
) -> None:
    """The count that `load_image(max_num)` gave leads to the same tiles, whatever our own limit is."""
    files = [
        *pictures,
        *(shared_data / "images" / n for n in ("pugs_398x180.jpg", "wide_diagram_1762x281.png")),
    ]
    encoder = encoder_of(real_tokenizer("internvl3"), "internvl2_5")
    for file in files:
        counted = encoder.encode(from_card_call("?", [file], max_tiles=max_num))
        again = encoder.encode(from_card_call("?", [file], None, list(counted.tiles_per_image)))
        assert np.array_equal(counted.tiles, again.tiles)
        assert encoder.measure(from_card_call("?", [file], None, list(counted.tiles_per_image))).tiles == len(
            counted.tiles
        )


def test_joined_pictures_keep_their_own_tiles(pictures: list[Path], real_tokenizer: Get) -> None:
    encoder = encoder_of(real_tokenizer("internvl3"), "internvl2_5")
    joined = encoder.encode(from_card_call("<image>\n?", pictures, max_tiles=12))
    single = [encoder.encode(from_card_call("?", [file], max_tiles=12)).tiles for file in pictures]
    assert np.array_equal(joined.tiles, np.concatenate(single))
    assert encoder.measure(from_card_call("<image>\n?", pictures, max_tiles=12)).tiles == 23


def test_own_system_text(real_tokenizer: Get, shared_data: Path) -> None:
    encoder = encoder_of(real_tokenizer("internvl3"), "internvl2_5")
    encode, bos = load_official("internvl3", shared_data / "tokenizers")
    for system in ("Answer briefly.", ""):
        ids = encoder.encode(from_card_call("Hi", system=system), generate=True).ids.tolist()
        assert ids == inference("internvl2_5", [("user", "Hi")], encode, bos, [], 256, system)


def test_what_does_not_match_is_refused(pictures: list[Path], real_tokenizer: Get) -> None:
    encoder = encoder_of(real_tokenizer("internvl3"), "internvl2_5")
    with pytest.raises(ValueError, match=r"num_patches_list: 1 entries for 2 <image> marks"):
        from_card_call("<image> <image>", pictures, None, [3])
    with pytest.raises(ValueError, match=r"pictures: 2 for 3 <image> marks"):
        from_card_call("<image>\n?", pictures, [("<image> <image>", "a")])
    with pytest.raises(ValueError, match=r"pictures: 1 for 0 <image> marks"):
        from_card_call("?", pictures[:1], [("hi", "ho")])
    with pytest.raises(ValueError, match=r"pictures: 0 for 1 <image> marks"):
        from_card_call("<image>\n?", videos=["a.mp4"])
    with pytest.raises(ValueError, match=r"videos: 1 for 2 <video> marks"):
        from_card_call("<video><video>", videos=["a.mp4"])
    with pytest.raises(ValueError, match=r"image\.tiles: .*cannot be cut into 12 tiles"):
        encoder.measure(from_card_call("?", pictures[:1], None, [12]))
    with pytest.raises(ValueError, match=r"into 24 tiles, it gives 23"):
        encoder.encode(from_card_call("<image>\n?", pictures, None, [24], max_tiles=12))


def test_without_media_marks_are_words_and_every_history_goes_on() -> None:
    """`chat("How do I write <image> in HTML?")` raised; an answer with `<image>` ended a talk for good."""
    asked = "How do I write <image> or <video> in HTML?"
    talk = from_card_call(asked, history=[("And <image>?", "Write <image> there.")])
    assert [message.parts for message in talk.messages] == [
        (Text(text),) for text in ("And <image>?", "Write <image> there.", asked)
    ]
    history = card_history([(asked, "Write <image>.")], from_card_call(asked))
    assert history == [(asked, "Write <image>.")]
    for again in (history, pickle.loads(pickle.dumps(history))):
        shown = from_card_call("See <image>?", [RED], again)
        assert shown.messages[0].parts == (Text(asked),) and shown.media == (Image(RED),)
    later = card_history([*history, ("See <image>?", "x")], shown)
    clip = from_card_call("<video>\nAnd this?", [RED], later, videos=["a.mp4"])
    assert [type(part) for part in clip.media] == [Image, Video]
    assert from_card_call("A <video> tag?", [RED]).messages[0].parts[1] == Text("\nA <video> tag?")


def test_a_mark_in_the_place_of_a_picture_that_is_not_given_is_told() -> None:
    with pytest.warns(UserWarning, match="where a picture"):
        assert from_card_call("<image>\n?").messages[0].parts == (Text("<image>\n?"),)
