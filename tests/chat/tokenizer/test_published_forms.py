"""The same text gives the same ids in every form in which a tokenizer is published."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tokenizers

from tessera.chat.encoder import Encoder
from tessera.chat.message import Conversation, ask, say
from tessera.chat.render import render
from tessera.chat.templates import TEMPLATES
from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.chat.tokens import ADDED_TOKENS
from tessera.imaging.grid import Tiling
from tests.chat.cases import CASES, as_conversation
from tests.chat.tokenizer.published_forms import WORDS, write_llama3, write_llama_export

Get = Callable[[str], Tokenizer]
INTERNLM2_TOKENS = ["<|plugin|>", "<|interpreter|>", "<|action_end|>", "<|action_start|>"]
INTERNLM2_TOKENS += ["<|im_end|>", "<|im_start|>", *ADDED_TOKENS]


@pytest.fixture(scope="module")
def internlm2_hf(shared_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the -hf layout holds for InternLM2 (docs/facts/tokens.md): Metaspace that never prepends."""
    folder = tmp_path_factory.mktemp("internlm2_hf")
    model = shared_data / "tokenizers" / "internlm2_internvl2" / "tokenizer.model"
    config = {"add_bos_token": True, "context_image_token": "<IMG_CONTEXT>"}
    renamed = dict(enumerate(INTERNLM2_TOKENS[:6], start=92538))
    write_llama_export(model, folder, "never", INTERNLM2_TOKENS, config, renamed)
    return folder


def prompts_of(tokenizer: Tokenizer, template: str) -> list[list[int]]:
    talks = [as_conversation(case.turns) for case in CASES if not case.tiles and case.path == "training"]
    return [render(talk, TEMPLATES[template], tokenizer).ids for talk in talks]


def test_the_hf_export_of_internlm2_gives_the_ids_of_its_sentencepiece(
    internlm2_hf: Path, real_tokenizer: Get, shared_data: Path
) -> None:
    slow, fast = real_tokenizer("internlm2_internvl2"), load_tokenizer(internlm2_hf)
    assert (fast.bos_id, fast.vocab_size) == (slow.bos_id, slow.vocab_size) == (1, 92553)
    assert fast.token_id("<IMG_CONTEXT>") == 92546
    vectors = shared_data / "tokenizers" / "testvectors" / "ggml-vocab-qwen2.gguf.inp"
    for text in [WORDS, " a", "a ", "\n", *vectors.read_text().split("\n__ggml_vocab_test__\n")]:
        assert fast.encode_plain(text) == slow.encode_plain(text), repr(text)
        assert fast.decode(fast.encode_plain(text)) == text
    for template in ("internlm2-chat", "internvl2_5"):
        assert prompts_of(fast, template) == prompts_of(slow, template)


def test_hf_folders_read_tokenizer_json_even_beside_a_tokenizer_model(
    shared_data: Path, tmp_path: Path
) -> None:
    """Original folders take the slow file; the transformers layout knows the JSON alone."""
    write_llama3(tmp_path)
    shutil.copy(shared_data / "tokenizers" / "llama2" / "tokenizer.model", tmp_path)
    path = tmp_path / "tokenizer_config.json"
    path.write_text(json.dumps({"add_bos_token": False}))

    def source() -> str:
        return next(iter(load_tokenizer(tmp_path).vocabulary.files()))

    assert source() == "tokenizer.model"
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "internvl_chat"}))
    assert source() == "tokenizer.model"
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "internvl"}))
    assert source() == "tokenizer.json"
    (tmp_path / "config.json").unlink()
    path.write_text(json.dumps({"add_bos_token": False, "context_image_token": "<IMG_CONTEXT>"}))
    assert source() == "tokenizer.json"


def test_metaspace_first_prepends_before_the_prompt_only(
    real_tokenizer: Get, shared_data: Path, tmp_path: Path
) -> None:
    """LLaMA exports of today: a space before the first word of the prompt, none behind control tokens."""
    model = shared_data / "tokenizers" / "llama2" / "tokenizer.model"
    write_llama_export(model, tmp_path, "first", ["<|end|>"], {})
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    ours = load_tokenizer(tmp_path)
    for text in ("Hello<|end|>Hello", "<|end|>Hello", "Hello", "a b<|end|> c"):
        assert ours.encode(text) == theirs.encode(text, add_special_tokens=False).ids, text
    assert ours.encode_plain("Hello world") == real_tokenizer("llama2").encode_plain("Hello world")


def test_llama3_takes_its_bos_from_the_post_processor(tmp_path: Path) -> None:
    """InternVL2-Llama3-76B: byte-level BPE, internlm2-chat template, the nine tokens by string."""
    write_llama3(tmp_path)
    ours = load_tokenizer(tmp_path)
    theirs = tokenizers.Tokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert ours.bos_id == theirs.token_to_id("<|begin_of_text|>")
    assert ours.encode_plain(WORDS) == theirs.encode(WORDS, add_special_tokens=False).ids
    template = TEMPLATES["internlm2-chat"]
    talk = Conversation((say("user", "What is 1234?"),))
    prompt = f"<|im_start|>system\n{template.system_text}<|im_end|><|im_start|>user\nWhat is 1234?<|im_end|>"
    prompt += "<|im_start|>assistant\n"
    assert render(talk, template, ours, generate=True).ids == theirs.encode(prompt).ids
    assert Encoder(ours, template, Tiling(), 256).stop_ids == {theirs.token_to_id("<|im_end|>")}


def test_a_null_bos_switch_means_the_default(tmp_path: Path) -> None:
    write_llama3(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps(config | {"add_bos_token": None}))
    assert load_tokenizer(tmp_path).bos_id is not None
    path.write_text(json.dumps(config | {"add_bos_token": False}))
    assert load_tokenizer(tmp_path).bos_id is None


def test_a_tokenizer_without_the_nine_tokens_is_refused_with_the_remedy(shared_data: Path) -> None:
    """A language model's own tokenizer; after with_added it serves, `<img>` at the id it had."""
    bare = load_tokenizer(shared_data / "tokenizers" / "yi")
    with pytest.raises(ValueError, match=r"lacks <IMG_CONTEXT> .*with_added\(\)"):
        Encoder(bare, TEMPLATES["Hermes-2"], Tiling(), 256)
    encoder = Encoder(bare.with_added(), TEMPLATES["Hermes-2"], Tiling(), 256)
    assert encoder.stop_ids == {7, 2}
    picture = shared_data / "images" / "panda_1000x1000.jpg"
    ids = encoder.encode(Conversation((ask("?", [picture]),)), generate=True).ids.tolist()
    assert (ids.count(68), ids.count(70)) == (1, 1)
    assert ids.count(64000) == 10 * 256  # 3 x 3 tiles and the thumbnail


def test_a_saved_tokenizer_reads_back(real_tokenizer: Get, tmp_path: Path) -> None:
    write_llama3(tmp_path / "llama3")
    for tokenizer in (load_tokenizer(tmp_path / "llama3"), real_tokenizer("yi")):
        tokenizer.save(tmp_path / "saved")
        again = load_tokenizer(tmp_path / "saved")
        assert again.encode(WORDS + "<img><IMG_CONTEXT>") == tokenizer.encode(WORDS + "<img><IMG_CONTEXT>")
        assert (again.bos_id, again.vocab_size) == (tokenizer.bos_id, tokenizer.vocab_size)
        shutil.rmtree(tmp_path / "saved")
