"""Every decoder kind with both ViTs, in both published layouts, by us and by transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer, GenerationConfig, InternVLForConditionalGeneration

from tessera.chat.message import Conversation, ask, say
from tessera.chat.tokenizer import load_tokenizer
from tessera.checkpoints.load import load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.engine.reference import generate_slowly
from tessera.engine.sampling.options import Sampling
from tessera.families.internvl.preprocess import write_processor
from tessera.models.config import DecoderKind
from tessera.models.vlm import VLM, normalise
from tessera.nn.attention.layout import Packed
from tests.checkpoints import kinds
from tests.checkpoints.test_round_trip import assert_same_weights
from tests.engine import tiny

transformers.utils.logging.set_verbosity_error()
transformers.utils.logging.disable_progress_bar()
MEMBERS = [(kind, vit) for kind in kinds.KINDS for vit in kinds.VITS]
ANSWER = 6


def open_theirs(folder: Path) -> InternVLForConditionalGeneration:
    """transformers' model, with nothing missing, left over or made up."""
    model, report = InternVLForConditionalGeneration.from_pretrained(folder, output_loading_info=True)
    assert not any(report.values()), report
    return model.eval()


def assert_same_answers(ours: VLM, theirs: InternVLForConditionalGeneration) -> None:
    """Logits of a prompt with two pictures to 1e-5, and the tokens of a greedy answer."""
    ids, tiles = kinds.prompt()
    pixels = normalise(tiles, ours.config.mean, ours.config.std, torch.float32)
    with torch.inference_mode():
        got = ours.logits(ours(ids, Packed((len(ids),)), tiles=tiles))
        expected = theirs(input_ids=ids[None], pixel_values=pixels).logits[0]
    assert expected.std() > 0.3
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-5)
    sampling = Sampling(max_new_tokens=ANSWER)
    answer = generate_slowly(ours, tiny.tokenizer(), frozenset(), kinds.encoded(), sampling)
    whole = theirs.generate(
        input_ids=ids[None],
        attention_mask=torch.ones_like(ids[None]),
        pixel_values=pixels,
        max_new_tokens=ANSWER,
        do_sample=False,
        eos_token_id=None,
        suppress_tokens=[ours.config.image_token_id],
    )
    assert list(answer.ids) == whole[0, len(ids) :].tolist()


@pytest.mark.parametrize("kind, vit", MEMBERS)
def test_transformers_opens_what_we_write(kind: DecoderKind, vit: str, tmp_path: Path) -> None:
    theirs = open_theirs(kinds.saved(tmp_path, kind, "transformers", vit))
    assert_same_answers(kinds.model(kind, vit), theirs)


@pytest.mark.parametrize("kind, vit", MEMBERS)
def test_we_open_what_transformers_writes(kind: DecoderKind, vit: str, tmp_path: Path) -> None:
    theirs = open_theirs(kinds.saved(tmp_path / "ours", kind, "transformers", vit))
    for name in ("template", "tessera"):
        if hasattr(theirs.config, name):
            delattr(theirs.config, name)  # a folder that never was in our hands
    theirs.save_pretrained(tmp_path / "theirs")
    tiny.tokenizer().save(tmp_path / "theirs")
    assert "tessera" not in json.loads((tmp_path / "theirs" / "config.json").read_text())
    loaded = load_checkpoint(tmp_path / "theirs")
    assert loaded.layout == "transformers" and loaded.notes == ()
    assert loaded.family.template == "internvl2_5", "the only generations published in this layout"
    assert_same_weights(loaded.model, kinds.model(kind, vit))
    assert_same_answers(loaded.model, theirs)


@pytest.mark.parametrize("kind, vit", MEMBERS)
def test_around_all_layouts_and_back(kind: DecoderKind, vit: str, tmp_path: Path) -> None:
    """own -> official -> transformers -> own, bit for bit, and the family with them."""
    kinds.saved(tmp_path / "own", kind, "tessera", vit)
    steps = (("own", "official"), ("official", "transformers"), ("transformers", "tessera"))
    for source, layout in steps:
        loaded = load_checkpoint(tmp_path / source)
        assert loaded.layout == {"own": "tessera"}.get(source, source)
        assert loaded.family == kinds.family(kind, vit) and loaded.notes == ()
        arguments = (loaded.model, loaded.family, loaded.tokenizer, layout)
        save_checkpoint(tmp_path / layout, *arguments)  # type: ignore[arg-type]
    first, last = (load_file(tmp_path / name / "model.safetensors") for name in ("own", "tessera"))
    assert first.keys() == last.keys()
    assert all(torch.equal(tensor, last[key]) for key, tensor in first.items())


def test_we_open_a_tied_model_of_transformers(tmp_path: Path) -> None:
    """They store one matrix; their flag's default is true, so that it need not stand in the file."""
    config = open_theirs(kinds.saved(tmp_path / "ours", "llama", "transformers", "300M")).config
    config.tie_word_embeddings = True
    theirs = InternVLForConditionalGeneration(config).eval()
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_(0, 0.2)
    theirs.save_pretrained(tmp_path / "theirs")
    tiny.tokenizer().save(tmp_path / "theirs")
    assert "lm_head.weight" not in load_file(tmp_path / "theirs" / "model.safetensors")
    model = load_checkpoint(tmp_path / "theirs").model
    assert model.decoder.lm_head.weight is model.decoder.embed_tokens.weight
    ids, tiles = kinds.prompt()
    pixels = normalise(tiles, model.config.mean, model.config.std, torch.float32)
    with torch.inference_mode():
        expected = theirs(input_ids=ids[None], pixel_values=pixels).logits[0]
        got = model.logits(model(ids, Packed((len(ids),)), tiles=tiles))
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("kind", ["internlm2", "phi3"])
def test_the_older_tree_of_the_hub(kind: DecoderKind, tmp_path: Path) -> None:
    """Files on the hub say `vision_tower.` and `language_model.model.`; both engines read them."""
    kinds.saved(tmp_path, kind, "transformers", "6B")
    path = tmp_path / "model.safetensors"
    older = {}
    for key, tensor in load_file(path).items():
        new = key.removeprefix("model.").replace("lm_head.", "language_model.lm_head.")
        if new.startswith("language_model.") and "lm_head" not in new:
            new = new.replace("language_model.", "language_model.model.", 1)
        older[new] = tensor
    save_file(older, path, metadata={"format": "pt"})
    assert "language_model.model.norm.weight" in older and "vision_tower.embeddings.cls_token" in older
    assert_same_weights(load_checkpoint(tmp_path).model, kinds.model(kind, "6B"))
    assert_same_answers(load_checkpoint(tmp_path).model, open_theirs(tmp_path))


@pytest.mark.parametrize("kind", ["qwen2", "internlm2"])
def test_transformers_writes_our_prompts(kind: DecoderKind, tmp_path: Path) -> None:
    """Their tokenizer with our chat template gives our prompt, pictures before they are expanded."""
    kinds.saved(tmp_path, kind, "transformers", "300M")
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer.context_image_token_id == kinds.family(kind).model.image_token_id
    parts = [{"type": "image"}, {"type": "text", "text": "left?"}]
    turns = [{"role": "user", "content": parts}, {"role": "assistant", "content": "yes"}]
    turns.append({"role": "user", "content": "why?"})
    conversation = Conversation(
        (ask("left?", [tiny.picture(1)]), say("assistant", "yes"), say("user", "why?"))
    )
    ours = kinds.family(kind).encoder(tiny.tokenizer()).render_text(conversation, generate=True)
    theirs = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    assert theirs == ours.replace("<img><IMG_CONTEXT>*4</img>", "<IMG_CONTEXT>")


TEXTS = (
    "<img>你是由上海</img>user\n<img><IMG_CONTEXT></img>\nWhat is  this?  Größe 🙂\n\n  x",
    "<ref>the dog</ref><box>[[1, 2, 30, 400]]</box>\t\tme\n",
    "Hello world  ",
    " def f(x):\n    return x**2 # naïve\r\n",
    "日本語テキスト 1234567890 ﬁ ™ …",
)


@pytest.mark.parametrize("name", ["internlm2_internvl2", "yi", "llama2"])
def test_transformers_opens_sentencepiece_tokenizers(name: str, shared_data: Path, tmp_path: Path) -> None:
    """Neither remote code (InternLM2) nor protobuf is needed, and the ids are those of the slow tokenizer."""
    ours = load_tokenizer(shared_data / "tokenizers" / name).with_added()
    ours.save(tmp_path)
    write_processor(tmp_path, kinds.family("llama"), ours)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    opening = [] if ours.bos_id is None else [ours.bos_id]
    for text in TEXTS:
        ids = opening + ours.encode(text)
        assert theirs(text).input_ids == ids
        assert theirs.decode(ids) == ours.decode(ids, skip_special=False)
    again = load_tokenizer(tmp_path)
    assert [again.encode(text) for text in TEXTS] == [ours.encode(text) for text in TEXTS]


def test_a_tokenizer_without_words_in_json_stays_as_it_is(shared_data: Path, tmp_path: Path) -> None:
    """Phi-3's space in front of the first control token would get lost."""
    model = (shared_data / "tokenizers" / "llama2" / "tokenizer.model").read_bytes()
    (tmp_path / "phi3").mkdir()
    (tmp_path / "phi3" / "tokenizer.model").write_bytes(model)
    text = (shared_data / "tokenizers" / "phi3" / "tokenizer_config.json").read_text()
    (tmp_path / "phi3" / "tokenizer_config.json").write_text(text)
    ours = load_tokenizer(tmp_path / "phi3")
    ours.save(tmp_path)
    write_processor(tmp_path, kinds.family("phi3"), ours)
    prompt = "<|system|>\nS<|end|><|user|>\nhello  world<|end|>"
    assert load_tokenizer(tmp_path).encode(prompt) == ours.encode(prompt)
    assert ours.encode(prompt)[0] == 29871, "the space"


@pytest.mark.parametrize("layout", ["official", "transformers"])
def test_files_for_other_engines(layout: str, tmp_path: Path) -> None:
    """Answers end at the template's stop, not at the language model's eos; pictures are cut as ours are."""
    kinds.saved(tmp_path, "qwen2", layout, "300M")
    stop = tiny.tokenizer().token_id("<|im_end|>")
    assert GenerationConfig.from_pretrained(tmp_path).eos_token_id == stop
    config = json.loads((tmp_path / "config.json").read_text())
    nested = config["llm_config" if layout == "official" else "text_config"]
    assert nested["eos_token_id"] == stop
    if layout == "transformers":
        processor = transformers.GotOcr2ImageProcessorPil.from_pretrained(tmp_path)
        pixels = processor(tiny.picture(4, 30, 60), return_tensors="pt").pixel_values
        tiles = torch.from_numpy(tiny.prompt("x", tiny.picture(4, 30, 60)).tiles)
        model = kinds.family("qwen2").model
        torch.testing.assert_close(pixels, normalise(tiles, model.mean, model.std, torch.float32))


def test_a_later_save_leaves_nothing_of_another_layout(tmp_path: Path) -> None:
    for layout in ("transformers", "official", "tessera"):
        kinds.saved(tmp_path, "qwen2", layout, "300M")
        assert load_checkpoint(tmp_path).layout == layout
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"tessera.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
