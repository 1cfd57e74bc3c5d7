"""Tokens and rows: tokens without a row, tokens of the owner, and how both go through the layouts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import pytest
import tokenizers
import torch
import transformers

import tessera
from tessera.chat.message import Conversation, ask, say
from tessera.chat.tokenizer import load_tokenizer
from tessera.chat.tokenizer.sentencepiece_json import as_json
from tessera.checkpoints.added import NewTokens
from tessera.checkpoints.conversion.convert import convert
from tessera.checkpoints.description import LayoutName
from tessera.checkpoints.load import load_checkpoint, read_description
from tessera.checkpoints.save import save_checkpoint
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.recipes.scale_model import fine_tune
from tessera.train.objective.learner import ChatLearner, Start
from tessera.train.setup import set_up
from tessera.train.update.rules import Rule
from tests.checkpoints import kinds
from tests.engine import tiny

LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)


def add_to_json(folder: Path, *names: str) -> None:
    """Tokens behind the last, as transformers writes them into tokenizer.json."""
    path = folder / "tokenizer.json"
    document = json.loads(path.read_text())
    sides = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    last = max(token["id"] for token in document["added_tokens"])
    for number, name in enumerate(names, start=last + 1):
        document["added_tokens"].append({"id": number, "content": name, **sides, "special": True})
    path.write_text(json.dumps(document))


def test_tokens_without_a_row_are_text_and_a_note(tmp_path: Path) -> None:
    """transformers adds `<video>` when it saves a tokenizer; the folder was refused as another model's."""
    folder = kinds.saved(tmp_path / "a", "llama", "transformers")
    rows = read_description(folder).family.model.decoder.vocab_size
    add_to_json(folder, "<video>", "<other>")
    model = tessera.load(folder)
    assert "2 tokens without a row in the model, taken as text: <video>, <other>" in " ".join(model.notes)
    assert model.encode("see <other>").ids.max() < rows
    assert "see <other>" in model.tokenizer.decode(model.encode("see <other>").ids)
    assert convert(folder, tmp_path / "b", "official").agreement is not None


def test_a_prompt_needs_rows(tmp_path: Path) -> None:
    """Turn markers and listed content without a row mean that the tokenizer is another model's."""
    folder = kinds.saved(tmp_path / "a", "llama", "tessera")
    config = folder / "tessera.json"
    content = json.loads(config.read_text())
    add_to_json(folder, "<loc>")
    content["family"]["content_tokens"] = ["<loc>"]
    config.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="prompts need <loc>: the tokenizer files belong to another"):
        load_checkpoint(folder)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_choice_of_content_goes_with_the_model(layout: LayoutName, tmp_path: Path) -> None:
    source = kinds.saved(tmp_path / "a", "llama", "tessera")
    config = source / "tessera.json"
    content = json.loads(config.read_text())
    content["family"]["content_tokens"] = ["<ref>"]
    config.write_text(json.dumps(content))
    convert(source, tmp_path / "b", layout, check=False)
    loaded = load_checkpoint(tmp_path / "b")
    assert loaded.family.content_tokens == ("<ref>",)


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_new_tokens_get_rows_in_every_layout(layout: LayoutName, tied: bool, tmp_path: Path) -> None:
    """One id here and for transformers; a row is the mean of those that wrote the name before."""
    family = tiny.family()
    decoder = family.model.decoder.model_copy(update={"tie_word_embeddings": tied})
    family = family.model_copy(update={"model": family.model.model_copy(update={"decoder": decoder})})
    before = VLM(family.model).eval()
    initialise(before, 5)
    source = save_checkpoint(tmp_path / "a", before, family, tiny.tokenizer())
    done = convert(source, tmp_path / "b", layout, add_tokens=["<loc>", "<seg>"])
    assert (
        done.agreement is not None
        and done.agreement.exact
        and "<loc> (300), <seg> (301)" in " ".join(done.notes)
    )
    after = load_checkpoint(tmp_path / "b")
    loc = after.tokenizer.token_id("<loc>")
    assert (loc, after.family.model.decoder.vocab_size) == (300, 302)
    pieces = tiny.tokenizer().encode_plain("<loc>")
    for name in ("embed_tokens", "lm_head"):
        old, new = (getattr(m.decoder, name).weight.detach() for m in (before, after.model))
        assert torch.equal(new[:300], old) and torch.allclose(new[loc], old[pieces].mean(0), atol=1e-6)
    talk = Conversation((ask("where"), say("assistant", "at <loc>5<seg>")))
    assert {300, 301} <= set(after.encoder.encode(talk).ids.tolist())
    assert after.tokenizer.decode([300, 301]) == "<loc><seg>"
    if layout != "tessera":
        theirs = transformers.AutoTokenizer.from_pretrained(tmp_path / "b")
        assert theirs.encode("<loc><seg>", add_special_tokens=False) == [300, 301]


def test_padded_rows_are_filled_first(tmp_path: Path) -> None:
    family = tiny.family()
    decoder = family.model.decoder.model_copy(update={"vocab_size": 301})
    padded = family.model_copy(update={"model": family.model.model_copy(update={"decoder": decoder})})
    before = VLM(padded.model).eval()
    initialise(before, 5)
    source = save_checkpoint(tmp_path / "a", before, padded, tiny.tokenizer(), "official")
    done = convert(source, tmp_path / "b", add_tokens=["<loc>", "<seg>"])
    assert done.layout == "official", "the source's own"
    after = load_checkpoint(tmp_path / "b").model.decoder.embed_tokens.weight.detach()
    rows = before.decoder.embed_tokens.weight.detach()
    assert len(after) == 302
    assert torch.allclose(after[300], rows[tiny.tokenizer().encode_plain("<loc>")].mean(0), atol=1e-6)


def test_a_listed_choice_of_content_takes_the_new_tokens_in(tmp_path: Path) -> None:
    family = tiny.family().model_copy(update={"content_tokens": ()})
    new = NewTokens.plan(tiny.tokenizer(), family, ["<loc>"])
    assert new.family.content_tokens == ("<loc>",)
    assert "<loc>" in new.family.encoder(new.tokenizer).tokenizer.content


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (["<ref>"], "add_tokens: '<ref>' is a token already"),
        (["the"], "'the' is a piece of the vocabulary already"),
        (["<loc>", "<loc>"], "'<loc>' is given twice"),
        ([" <loc>"], "without white space"),
        ([""], "is no name"),
        (["<lo\u200bc>"], "nobody sees"),
        (["x" * 65], "give 1 to 64 characters"),
    ],
)
def test_names_that_can_be_no_new_token(names: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        NewTokens.plan(tiny.tokenizer(), tiny.family(), names)


@pytest.mark.parametrize("name", ["llama2", "internlm2_internvl2", "internvl3"])
def test_real_tokenizers_take_new_tokens(name: str, real_tokenizer: Any, tmp_path: Path) -> None:
    """Saved and read again, and as the tokenizer.json that transformers reads."""
    wider = real_tokenizer(name).with_added(["<loc>", "<act_12>"])
    ids = wider.encode("a<loc>5<act_12> b")
    assert ids.count(wider.vocab_size - 1) == ids.count(wider.vocab_size - 2) == 1
    wider.save(tmp_path)
    assert load_tokenizer(tmp_path).encode("a<loc>5<act_12> b") == ids
    if name != "llama2":  # whose runs begin with a space of their own, as released
        assert load_tokenizer(tmp_path).decode(ids) == "a<loc>5<act_12> b"
    else:
        other = tokenizers.Tokenizer.from_str((as_json(wider) or b"").decode())
        assert other.encode("a<loc>", add_special_tokens=False).ids[-1] == wider.token_id("<loc>")


def test_a_recipe_starts_with_new_tokens(tmp_path: Path) -> None:
    """From a checkpoint and from nothing; a recipe whose stages all freeze the rows is an error."""
    source = save_checkpoint(tmp_path / "a", tiny.model(), tiny.family(), tiny.tokenizer())
    for start in (Start(checkpoint=str(source), add_tokens=("<loc>",)), Start(add_tokens=("<loc>",))):
        learner = ChatLearner.start(start, 0)
        loc = learner.tokenizer.token_id("<loc>")
        assert (
            learner.model.config.decoder.vocab_size
            == loc + 1
            == len(learner.model.decoder.embed_tokens.weight)
        )
        learner.save(tmp_path / f"out{loc}", {}, learner.model.state_dict().items())
        talk = Conversation((ask("where"), say("assistant", "<loc>")))
        assert loc in load_checkpoint(tmp_path / f"out{loc}").encoder.encode(talk).ids
    frozen = fine_tune.recipe().model_copy(
        update={"start": Start(checkpoint="shipped", add_tokens=("<loc>",))}
    )
    rules = (Rule(pattern="^decoder"), Rule(pattern=".", learning_rate=1e-3))
    stage = frozen.stages[0].model_copy(update={"rules": rules})
    with pytest.raises(ValueError, match="start.add_tokens: no stage trains the rows of '<loc>'"):
        set_up(frozen.model_copy(update={"stages": (stage,)}))
