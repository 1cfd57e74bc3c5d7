"""`ChatModel`: one answer however it is asked for, the model cards' tokens, mistakes with names."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest

import tessera
from tessera.chat.message import Conversation, Video, ask
from tessera.checkpoints.load import Loaded
from tessera.engine.chat_model import ChatModel
from tessera.engine.reference import generate_slowly
from tessera.engine.request import DEFAULT_NEW_TOKENS
from tessera.engine.sampling.options import Sampling
from tessera.imaging.grid import count_tiles
from tests.chat.official import internvl2_5
from tests.engine import tiny

WIDE, TALL, SMALL = tiny.picture(1, 60, 30), tiny.picture(2, 30, 60), tiny.picture(3)
CLIP = Video(tuple(tiny.picture(50 + i) for i in range(4)))


@pytest.fixture(scope="module")
def model() -> ChatModel:
    said = {"family": tiny.family(), "tokenizer": tiny.tokenizer(), "folder": Path("nowhere")}
    return ChatModel(Loaded(**said, model=tiny.model(), encoder=tiny.encoder()), max_batch=3)


def official_ids(turns: Sequence[tuple[str, str]], tiles: list[int], model: ChatModel) -> list[int]:
    """What the cards' code feeds: turns as strings, marks replaced from the left, the role open."""
    encoder, tokenizer = model.encoder, model.tokenizer
    system = encoder.template.system_text if encoder.system_text is None else encoder.system_text
    said = [(role, text) for turn in turns for role, text in zip(("user", "assistant"), turn, strict=True)]
    ids, _ = internvl2_5(said[:-1], tokenizer.encode, None, tiles, encoder.tokens_per_tile, system)
    return ids + tokenizer.encode("<|im_start|>assistant\n")


def tiles_of(model: ChatModel, *pictures: PIL.Image.Image) -> list[int]:
    return [count_tiles(*picture.size, model.encoder.tiling) for picture in pictures]


def test_every_road_gives_one_answer(model: ChatModel) -> None:
    said = model.chat("how many?", WIDE, max_new_tokens=12)
    assert said and said != model.chat("how many?", SMALL, max_new_tokens=12), "the picture must matter"
    assert model.chat("<image>\nhow many?", [WIDE], max_new_tokens=12) == said
    content = [{"type": "image", "image": WIDE}, {"type": "text", "text": "how many?"}]
    assert model.chat([{"role": "user", "content": content}], max_new_tokens=12) == said
    assert model.chat(Conversation((ask("how many?", [WIDE]),)), max_new_tokens=12) == said
    assert "".join(model.stream("how many?", WIDE, max_new_tokens=12)) == said
    completion = model.complete([model.prompt("how many?", WIDE, max_new_tokens=12)])[0]
    assert completion.text == said and completion.prompt_tokens == len(model.encode("how many?", WIDE).ids)


def test_a_picture_in_any_spelling_gives_the_same_prompt(model: ChatModel, tmp_path: Path) -> None:
    WIDE.save(file := tmp_path / "wide.png")
    data = file.read_bytes()
    text = base64.b64encode(data).decode()
    wanted = model.encode("how many?", WIDE)
    spelt: list[Any] = [
        str(file),
        f"file://{file}",
        data,
        bytearray(data),
        io.BytesIO(data),
        text,
        text[:80] + "\n" + text[80:],
    ]
    for picture in [*spelt, f"DATA:image/png;base64,{text}"]:
        part = {"type": "image", "image": picture}
        asked = [{"role": "user", "content": [part, {"type": "text", "text": "how many?"}]}]
        for found in (
            model.encode("how many?", picture),
            model.encode("<image>\nhow many?", [picture]),
            model.encode(asked),
        ):
            assert np.array_equal(found.ids, wanted.ids) and np.array_equal(found.tiles, wanted.tiles)
    with file.open("rb") as stream:
        assert np.array_equal(model.encode("how many?", stream).tiles, wanted.tiles)
    for address in ("http://a.org/b.png", "HTTPS://a.org/b.png"):
        with pytest.raises(ValueError, match="nothing is fetched behind your back; download it"):
            model.chat("how many?", address)


def test_numbers_of_tiles_have_bounds(model: ChatModel) -> None:
    """One number in a message took minutes and gigabytes."""
    part = {"type": "image", "image": WIDE, "max_tiles": 10**9}
    asked: list[tuple[Any, dict[str, Any]]] = [
        ([{"role": "user", "content": [part, "how many?"]}], {}),
        ("how many?", {"pictures": WIDE, "max_tiles": 10**9}),
        ("how many?", {"pictures": WIDE, "num_patches_list": [10**9]}),
    ]
    for question, options in asked:
        with pytest.raises(ValueError, match="no number of tiles; give a whole number from 1 to 256"):
            model.chat(question, **options)


def test_what_is_said_about_reading_pictures_reaches_the_tiles() -> None:
    rays = PIL.Image.fromarray(np.linspace(1000, 4000, 1800).reshape(30, 60).astype(np.uint16))
    assert tessera.load(device="cpu").encode("what?", rays).tiles.min() == 255
    model = tessera.load(device="cpu", pictures={"depth": "picture", "orientation": "exif"})
    assert model.encode("what?", rays).tiles.min() < 10
    assert model.encoder.describe()["pictures"] == "orientation=exif depth=picture"
    with pytest.raises(ValueError, match=r"^pictures.depth"):
        tessera.load(device="cpu", pictures={"depth": "deep"})


def test_a_mixed_batch_answers_as_one_by_one(model: ChatModel) -> None:
    """Text beside many tiles and a clip, more items than the engine takes at once, options of their own."""
    content = [{"type": "text", "text": "is "}, {"type": "image", "image": SMALL}]
    items: list[Any] = [
        "how many circles?",
        {"question": "what?", "pictures": WIDE},
        {"question": "left?", "videos": [CLIP]},
        [{"role": "user", "content": content}],
        {"question": "<image> or <image>?", "pictures": [WIDE, TALL], "temperature": 0.7, "seed": 4},
        {"question": "and now?", "pictures": [SMALL], "history": [("<image>\nred?", "no")]},
        {"question": "which?", "pictures": TALL, "visual_increment": 1 / 4, "max_new_tokens": 5},
    ]
    seen: list[tuple[int, int | None]] = []
    answers = model.batch(items, lambda _, *count: seen.append(count), max_new_tokens=10)
    alone = [model.chat(**({"max_new_tokens": 10} | _named(item))) for item in items]
    assert answers == alone and len(set(answers)) > 4
    assert seen == [(done, 7) for done in range(1, 8)]


def _named(item: Any) -> dict[str, Any]:
    return item if isinstance(item, dict) else {"question": item}


def test_single_picture_is_the_cards_prompt(model: ChatModel) -> None:
    tiles = tiles_of(model, WIDE)
    expected = official_ids([("<image>\nwhat?", "")], tiles, model)
    for question in ("what?", "<image>\nwhat?"):
        encoded = model.encode(question, WIDE)
        assert encoded.ids.tolist() == expected and list(encoded.tiles_per_image) == tiles
    assert model.encode("what?").ids.tolist() == official_ids([("what?", "")], [], model)


def test_turns_as_on_the_cards(model: ChatModel) -> None:
    """The first call adds the mark, the history has it; later calls repeat the pictures of all turns."""
    first, history = model.chat("what?", WIDE, return_history=True, max_new_tokens=6)
    assert history == [("<image>\nwhat?", first)]
    second, longer = model.chat("why?", WIDE, history=history, return_history=True, max_new_tokens=6)
    assert longer == [*history, ("why?", second)]
    encoded = model.encode("now <image>?", [WIDE, SMALL], history=longer)
    turns = [*longer, ("now <image>?", "")]
    assert encoded.ids.tolist() == official_ids(turns, tiles_of(model, WIDE, SMALL), model)


def test_combined_and_separate_pictures(model: ChatModel) -> None:
    wide, tall = tiles_of(model, WIDE, TALL)
    together = model.encode("<image>\nboth?", [WIDE, TALL])
    assert together.ids.tolist() == official_ids([("<image>\nboth?", "")], [wide + tall], model)
    marked = "Image-1: <image>\nImage-2: <image>\nboth?"
    apart = model.encode(marked, [WIDE, TALL], num_patches_list=[wide, tall])
    assert apart.ids.tolist() == official_ids([(marked, "")], [wide, tall], model)
    assert np.array_equal(model.encode(marked, [WIDE, TALL]).ids, apart.ids)
    assert np.array_equal(together.tiles, apart.tiles) and together.tiles_per_image == (wide + tall,)


def test_frames_as_on_the_cards_and_as_a_clip(model: ChatModel) -> None:
    frames = list(CLIP.source)
    marks = "".join(f"Frame-{i + 1}: <image>\n" for i in range(len(frames)))
    expected = official_ids([(marks + "left?", "")], [1] * 4, model)
    written = model.encode(marks + "left?", frames, max_tiles=1, num_patches_list=[1] * 4)
    assert written.ids.tolist() == expected
    assert model.encode("left?", videos=CLIP).ids.tolist() == expected
    assert model.encode("<video>\nleft?", videos=[CLIP]).ids.tolist() == expected
    # A list of pictures is one clip, and not so many.
    assert model.encode("left?", videos=frames).ids.tolist() == expected
    assert model.encode("<video>\nleft?", videos=[frames]).ids.tolist() == expected


def test_messages_remember_and_take_a_system_text(model: ChatModel) -> None:
    asked = [{"role": "user", "content": [{"type": "image", "image": WIDE}, "what?"]}]
    answer, longer = model.chat(asked, return_history=True, max_new_tokens=5)
    assert longer == [*asked, {"role": "assistant", "content": answer}]
    follow = [*longer, {"role": "user", "content": "why?"}]
    history = [("<image>\nwhat?", answer)]
    assert np.array_equal(model.encode(follow).ids, model.encode("why?", WIDE, history=history).ids)
    named = model.encode([{"role": "system", "content": "be brief"}, *asked]).ids
    assert np.array_equal(model.encode(asked, system="be brief").ids, named)
    assert np.array_equal(model.encode("what?", WIDE, system="be brief").ids, named)


def test_tile_limits(model: ChatModel) -> None:
    """Marks give every picture the model's limit, as the cards do; messages divide it, as training does."""
    own = [{"type": "image", "image": WIDE}, {"type": "image", "image": TALL, "max_tiles": 1}]
    message = [{"role": "user", "content": [*own, {"type": "text", "text": "?"}]}]
    assert model.encode("?", WIDE, max_tiles=1).tiles_per_image == (1,)
    assert model.encode("<image><image>?", [WIDE, TALL]).tiles_per_image == (3, 3)
    assert model.encode(message, max_tiles=2).tiles_per_image == (3, 1), "a part's own limit wins"


def test_sampling_words_of_the_cards(model: ChatModel) -> None:
    def settings(**options: Any) -> Sampling:
        return model.prompt("is", **options).sampling

    assert settings(do_sample=False, temperature=0.9).temperature == 0
    drawn = settings(do_sample=True, max_new_tokens=9)
    assert (drawn.temperature, drawn.top_k, drawn.max_new_tokens) == (1.0, 50, 9)
    assert settings(do_sample=True, temperature=0.2, top_k=0, num_beams=1).temperature == 0.2
    assert settings(stop="red").stop == ("red", "<|im_end|>")
    longest = model.family.model.decoder.longest_context - len(model.encode("is").ids)
    assert settings().max_new_tokens == min(DEFAULT_NEW_TOKENS, longest)


def test_visual_increment_reaches_the_model(model: ChatModel) -> None:
    prompt = model.prompt("what?", WIDE, visual_increment=1 / 16, max_new_tokens=8)
    slow = generate_slowly(
        tiny.model(), tiny.tokenizer(), tiny.encoder().stop_ids, prompt.encoded, prompt.sampling, 1 / 16
    )
    assert model.complete([prompt])[0] == slow
    assert slow.text != model.chat("what?", WIDE, max_new_tokens=8)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"question": "<image> <image>?", "pictures": [WIDE]}, "pictures: 1 for 2 <image> marks"),
        ({"question": "<image>?", "pictures": WIDE, "num_patches_list": [2]}, "cannot be cut into 2 tiles"),
        ({"question": "left?", "pictures": "gone.png"}, "gone.png"),
        (
            {"question": "a", "temperatur": 1},
            "temperatur = 1: no such setting; did you mean temperature?",
        ),
        ({"question": "a", "top_p": 7}, "top_p = 7.0: give a share"),
        ({"question": "a", "max_new_tokens": "many"}, "max_new_tokens = 'many': Input should be a valid"),
        ({"question": "a", "num_beams": 3}, "num_beams = 3: beam search is not offered"),
        ({"question": "a", "visual_increment": 0.3}, "visual_increment = 0.3"),
        ({"question": "a", "max_new_tokens": 10**6}, "the model was made for"),
        ({"question": "a", "max_tiles": 0, "pictures": WIDE}, "max_tiles"),
        ({"question": tiny.tokenizer()}, "question: Tokenizer is neither text nor a list of messages"),
        ({"question": []}, "question: list is neither text"),
        ({"question": [{"role": "user", "content": "a"}], "pictures": WIDE}, "pictures: messages carry"),
        ({"question": [{"role": "system", "content": "a"}], "system": "b"}, "system: the messages begin"),
        (
            {"question": [{"role": "user", "content": [{"type": "image_url", "image_url": "gone.png"}]}]},
            "gone",
        ),
        ({"pictures": WIDE}, "question: missing"),
        (
            {"question": "a", "pictures": np.zeros((9, 9, 3), np.uint8)},
            "pictures: a ndarray does not say",
        ),
        ({"question": "a", "pictures": [WIDE, 3]}, "pictures[1]: 3 is no picture"),
        (
            {"question": "a", "history": [{"role": "user", "content": "b"}]},
            "history: give (question, answer)",
        ),
        ({"question": "a", "history": "b"}, "history: give (question, answer)"),
        ({"question": "a", "history": [("b", None)]}, "history: give (question, answer)"),
        ({"question": "a", "videos": Video(CLIP.source, frames=0)}, "video.frames: 0 is not in 1..64"),
    ],
)
def test_a_bad_item_names_itself(model: ChatModel, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError) as told:
        model.batch(["is", arguments])
    assert str(told.value).startswith("items[1]: ") and message in str(told.value)
    if "question" in arguments:
        with pytest.raises((ValueError, OSError)) as told:
            model.chat(**arguments)
        assert message in str(told.value) and "items" not in str(told.value)


def test_a_prompt_beyond_the_context_says_what_to_change(model: ChatModel) -> None:
    many = [WIDE] * 1 + [SMALL] * 3000
    with pytest.raises(ValueError, match=r"of 3001 pictures .*take [\d,]+ tokens.*fewer pictures"):
        model.chat("<image> " * 3001 + "which?" * 500, many)


@pytest.mark.parametrize(
    ("last", "message"),
    [
        ("is " * 40_000, "the model was made for"),
        ({"question": "is " * 40_000, "visual_increment": 1 / 4}, "the model was made for"),
        (
            [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}],
            "end with a user message",
        ),
    ],
)
def test_a_bad_item_is_found_before_the_first_answer(model: ChatModel, last: Any, message: str) -> None:
    seen: list[tuple[int, int]] = []
    with pytest.raises(ValueError, match=message) as told:
        model.batch(["is"] * 4 + [last], lambda *count: seen.append(count), max_new_tokens=2)
    assert str(told.value).startswith("items[4]: ") and not seen


def test_a_batch_takes_the_history_that_chat_takes(model: ChatModel) -> None:
    """An answer may have been empty, as when a stop string came first."""
    item = {"question": "and now?", "history": [("what?", "")]}
    assert model.batch([item], max_new_tokens=4) == [model.chat(**item, max_new_tokens=4)]  # type: ignore[arg-type]
