"""`tessera diff-prompt` against servers and against transformers, on the shipped scale model's settings."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

from tessera.chat.encoder import Encoder
from tessera.chat.openai import read_messages
from tessera.chat.tokenizer import load_tokenizer
from tessera.chat.tokens import IMG_CONTEXT
from tessera.checkpoints.load import read_description
from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.main import main
from tessera.peers.transformers_prompts import feed_transformers
from tests.peers.doubles import Routes, engine_routes, served

SYSTEMLESS = "<|im_start|>system\n<|im_end|>\n"
"""What the scale model's prompt begins with."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The scale model without its weights: config and tokenizer are all a prompt needs."""
    skip = shutil.ignore_patterns("*.safetensors")
    return Path(shutil.copytree(shipped_folder(), tmp_path / "model", ignore=skip))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "wide.png"
    PIL.Image.new("RGB", (320, 160), (200, 30, 30)).save(path)
    return path


@dataclass
class Feed:
    """How a fake engine makes ids: like ours, with changes."""

    encoder: Encoder

    def __call__(self, messages: list[dict[str, Any]]) -> list[int]:
        encoded = self.encoder.encode(read_messages(messages), generate=True)
        return [int(i) for i in encoded.ids]


def run(folder: Path, against: str, *words: object) -> int:
    return main(["diff-prompt", "--model", str(folder), "--against", against, *map(str, words)])


def encoder_of(folder: Path, **changes: object) -> Encoder:
    description = read_description(folder)
    return description.family.model_copy(update=changes).encoder(description.tokenizer)


def report(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(capsys.readouterr().out)
    return value


def test_a_server_that_feeds_the_same(
    folder: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(engine_routes(Feed(encoder_of(folder)))) as address:
        assert run(folder, address + "/v1/", picture, "What is it?", "--json") == 0
    value = report(capsys)
    assert (value["same"], value["compared"]) == (True, "ids")
    assert value["ours"]["tiles"] == value["theirs"]["tiles"] == [3]


def test_a_server_with_another_system_text_and_grid(
    folder: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tiling = read_description(folder).family.tiling.model_copy(update={"max_tiles": 1})
    with served(engine_routes(Feed(encoder_of(folder, system_text="Hello.", tiling=tiling)))) as address:
        assert run(folder, address, picture, "--system", "Hello.", "What is it?", "--json") == 1
        assert [d["theirs"] for d in report(capsys)["differences"]] == [f"{IMG_CONTEXT}*16"]
        assert run(folder, address, picture, "What is it?") == 1
    printed = capsys.readouterr().out
    assert "difference 1 of 2" in printed
    assert "'Hello.'" in printed
    assert f"ours    '{IMG_CONTEXT}*48'" in printed
    assert "tiles: 3\n" in printed and "tiles: 1\n" in printed
    assert printed.rstrip().endswith("different prompts")


def test_a_server_that_only_counts(folder: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with served(engine_routes(Feed(encoder_of(folder)), tokenize=False)) as address:
        assert run(folder, address, picture, "What is it?") == 0
    printed = capsys.readouterr().out
    assert "has no /tokenize" in printed and "same number of tokens" in printed
    with served(engine_routes(Feed(encoder_of(folder, system_text="x")), tokenize=False)) as address:
        assert run(folder, address, picture, "What is it?") == 1


def test_a_server_that_does_not_expand_pictures(
    folder: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """vLLM before 0.17: /tokenize leaves one placeholder a picture; the usage of an answer tells the rest."""
    encoder = encoder_of(folder, system_text="Hello.")
    image = encoder.tokenizer.token_id(IMG_CONTEXT)

    def collapsed(messages: list[dict[str, Any]]) -> list[int]:
        ids = Feed(encoder)(messages)
        return [i for n, i in enumerate(ids) if i != image or ids[n - 1] != image]

    routes = engine_routes(Feed(encoder)) | {"/tokenize": engine_routes(collapsed)["/tokenize"]}
    with served(routes) as address:
        assert run(folder, address, picture, "--system", "Hello.", "What?", "--json") == 0
        value = report(capsys)
        assert value["compared"] == "count" and "does not expand pictures" in value["theirs"]["notes"][0]
        assert run(folder, address, picture, "What?", "--json") == 1
        assert "Hello." in [d["theirs"] for d in report(capsys)["differences"]]


def test_name_and_key_reach_the_server(folder: Path) -> None:
    seen: list[Any] = []
    routes = engine_routes(Feed(encoder_of(folder)))

    def tokenize(body: dict[str, Any]) -> tuple[int, Any]:
        seen.append((body["model"], body["authorization"], body["add_generation_prompt"]))
        return engine_routes(Feed(encoder_of(folder)))["/tokenize"](body)

    with served(routes | {"/tokenize": tokenize}) as address:
        assert run(folder, address, "Hi there") == 0
        assert run(folder, address, "Hi there", "--served-model", "m", "--api-key", "k") == 0
    assert seen == [("served", None, True), ("m", "Bearer k", True)]


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ({"/v1/models": lambda _: (200, {"data": []})}, "lists no model"),
        ({"/v1/models": lambda _: (500, {"error": "broken"})}, "status 500"),
        ({"/v1/models": lambda _: (200, b"<html>")}, "not JSON"),
        ({"/tokenize": lambda _: (200, {"count": 3})}, "no list of token ids"),
        ({"/tokenize": lambda _: (200, [1])}, "no JSON object"),
        (
            {"/tokenize": lambda _: (404, {}), "/v1/chat/completions": lambda _: (200, {})},
            "no usage.prompt_tokens",
        ),
    ],
)
def test_servers_that_answer_oddly(
    routes: Routes, message: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(engine_routes(Feed(encoder_of(folder))) | routes) as address:
        assert run(folder, address, "Hi there") == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_mistakes_are_one_line(folder: Path, picture: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for against, words, message in (
        ("http://127.0.0.1:9", ("Hi",), "no answer"),
        ("http://[", ("Hi",), "no answer"),
        ("vllm", ("Hi",), "write http://host:port"),
        ("transformers", (picture,), "no question"),
    ):
        assert run(folder, against, *words) == 2
        assert message in capsys.readouterr().err
    with served(engine_routes(lambda _: [1])) as address:
        (picture.parent / "frames").mkdir()
        assert run(folder, address, picture.parent / "frames", "What?") == 2


def write_processor(folder: Path, template: str | None = None, **settings: Any) -> None:
    """Files that transformers reads, with the scale model's tile size."""
    values = {"size": {"height": 64, "width": 64}, "min_patches": 1, "max_patches": 6, **settings}
    (folder / "processor_config.json").write_text(json.dumps({"image_processor": values}))
    if template is not None:
        (folder / "chat_template.jinja").write_text(template)


TEMPLATE = (
    "<|im_start|>system\n<|im_end|>\n{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% for p in m.content %}{% if p.type == 'image' %}<IMG_CONTEXT>\n{% elif p.type == 'video' %}<video>\n"
    "{% else %}{{ p.text }}{% endif %}{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_transformers_with_the_folders_template(
    folder: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Their tiler, template, expansion and tokenizer give our ids when the system turn is the same."""
    pytest.importorskip("transformers")
    write_processor(folder, TEMPLATE)
    assert run(folder, "transformers", picture, "What is it?", "--json") == 0
    value = report(capsys)
    assert value["theirs"]["tiles"] == [3] and value["compared"] == "ids"
    assert "part by part" in value["theirs"]["notes"][0]
    narrow = picture.parent / "narrow.png"
    PIL.Image.new("RGB", (64, 320)).save(narrow)
    assert run(folder, "transformers", picture, narrow, "Which?", "--json") == 1
    value = report(capsys)  # our limit of 6 tiles is shared by the pictures
    assert (value["ours"]["tiles"], value["theirs"]["tiles"]) == ([3, 4], [3, 6])


def test_transformers_without_a_template_has_no_system_turn(
    folder: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    write_processor(folder, max_patches=1)
    assert run(folder, "transformers", picture, "What is it?", "--json") == 1
    first, second = report(capsys)["differences"]
    assert (first["ours"], first["theirs"]) == (SYSTEMLESS, "")
    assert (second["ours"], second["theirs"]) == (f"{IMG_CONTEXT}*48", f"{IMG_CONTEXT}*16")


def test_transformers_with_a_template_for_text_alone(
    folder: Path, picture: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """InternVL#1094: some uploads carry the language model's template, with its own system sentence."""
    pytest.importorskip("transformers")
    words = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    write_processor(
        folder, "<|im_start|>system\nYou are Qwen.<|im_end|>\n" + words + "{{ '<|im_start|>assistant\n' }}"
    )
    assert run(folder, "transformers", picture, "What is it?", "--json") == 1
    value = report(capsys)
    assert [d["theirs"] for d in value["differences"]] == ["You are Qwen."]
    assert any("knows no pictures" in note for note in value["theirs"]["notes"])


def test_transformers_clips_are_labelled_without_a_dash(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("transformers")
    write_processor(folder, TEMPLATE)
    frames = [PIL.Image.new("RGB", (64, 64), (i, 0, 0)) for i in range(5)]
    frames[0].save(tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=100)
    clip = tmp_path / "a.gif"
    assert run(folder, "transformers", clip, "--frames", "3", "What?", "--labels", "cards", "--json") == 0
    assert report(capsys)["theirs"]["tiles"] == [1, 1, 1]
    assert run(folder, "transformers", clip, "--frames", "3", "What?", "--json") == 1
    assert len(report(capsys)["differences"]) == 3


def test_transformers_own_processor_is_used_where_it_can_be_made(
    folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    transformers = pytest.importorskip("transformers")

    class Processor:
        image_processor = object()

        def apply_chat_template(self, messages: list[Any], **options: Any) -> dict[str, Any]:
            assert options == {"add_generation_prompt": True, "tokenize": True, "return_dict": True}
            return {"input_ids": [[1, 2, len(messages)]]}

    monkeypatch.setattr(transformers.AutoProcessor, "from_pretrained", lambda *_, **__: Processor())
    messages = [{"role": "user", "content": [{"type": "image", "image": str(picture)}]}]
    found = feed_transformers(folder, messages, encoder_of(folder).tokenizer, 16)
    assert (found.ids, found.notes) == ((1, 2, 1), ())


def test_transformers_that_cannot_read_the_tokenizer_takes_our_ids(
    folder: Path, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """InternLM2's folders name remote code; nothing is run, and the report says whose tokenizer it was."""
    transformers = pytest.importorskip("transformers")
    write_processor(folder, TEMPLATE)

    def refuse(*_: Any, **options: Any) -> None:
        assert options["trust_remote_code"] is False
        raise ValueError("contains custom code\nwhich must be executed")

    monkeypatch.setattr(transformers.AutoTokenizer, "from_pretrained", refuse)
    encoder = encoder_of(folder)
    parts = [{"type": "image", "image": str(picture)}, {"type": "text", "text": "What?"}]
    messages = [{"role": "user", "content": parts}]
    found = feed_transformers(folder, messages, encoder.tokenizer, encoder.tokens_per_tile)
    assert found.ids == tuple(Feed(encoder)(messages))
    assert any("contains custom code)" in note for note in found.notes)


def test_the_real_template_of_internvl3(shared_data: Path, folder: Path) -> None:
    """InternVL3's tokenizer files carry Qwen's template, with its system sentence (docs/prompts.md)."""
    pytest.importorskip("transformers")
    root = shared_data / "tokenizers" / "internvl3"
    tokenizer = read_description(folder).tokenizer
    picture = shared_data / "images" / "red_panda_1000x747.jpg"
    parts = [{"type": "image", "image": str(picture)}, {"type": "text", "text": "What?"}]
    found = feed_transformers(root, [{"role": "user", "content": parts}], tokenizer, 256)
    assert found.ids is not None
    assert found.ids.count(151667) == 13 * 256
    assert found.ids[:3] == (151644, 8948, 198)
    assert load_tokenizer(root).decode(found.ids[3:9]) == "You are Qwen, created"
    assert any("knows no pictures" in note for note in found.notes)
