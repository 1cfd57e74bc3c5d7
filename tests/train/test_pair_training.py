"""The pair in training: data that is checked, losses against slow arithmetic, two processes like one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
import torch.nn.functional as F

from tessera.checkpoints.pair.loading import load_pair
from tessera.models.pair.pair import QllamaPair
from tessera.packing.config import PackingConfig
from tessera.records.faults import DataError
from tessera.records.manifest import PlaygroundSource
from tessera.train.loop import Trainer
from tessera.train.objective.contract import ManifestSpec
from tessera.train.objective.pairing.batches import TextPairBatch, TextRows
from tessera.train.objective.pairing.crops import Crops
from tessera.train.objective.pairing.first import PairContrastObjective
from tessera.train.objective.pairing.learner import PairModelLearner
from tessera.train.objective.pairing.losses import contrastive_loss
from tessera.train.objective.pairing.retrieval import PairRetrievalObjective
from tessera.train.objective.pairing.samples import PairStream, cleaned
from tessera.train.objective.pairing.second import PairTasksObjective
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.setup import set_up
from tessera.train.update.rules import Rule, assign
from tests.parity import released_pair as released
from tests.parity.test_pair import allowed, opened

DRAWN = PlaygroundSource(name="drawn", suites={"shapes": 1.0}, levels={1: 1.0})
PLAIN = torch.device("cpu")


def stage(objective: Any, sources: tuple[Any, ...] = (DRAWN,), **changes: Any) -> Stage:
    rules = changes.pop("rules", (Rule(pattern=".", learning_rate=1e-3),))
    return Stage(name="pairs", steps=2, rules=rules, sources=sources, objective=objective, **changes)


# Losses, from the words of docs/facts/pair.md and nothing else.


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[QllamaPair, released.State]:
    weights = released.state(5)
    weights["logit_scale"] = torch.tensor(1.5)
    return opened(weights, tmp_path_factory.mktemp("pair")), weights


def rows(seed: int, *lengths: int) -> TextRows:
    generator = torch.Generator().manual_seed(seed)
    return TextRows.of(torch.randint(3, 101, (length,), generator=generator).tolist() for length in lengths)


def batch(count: int = 4, **changes: Any) -> TextPairBatch:
    generator = torch.Generator().manual_seed(0)
    tiles = torch.randint(0, 256, (count, 56, 56, 3), dtype=torch.uint8, generator=generator)
    made = TextPairBatch(
        number=0,
        tiles=tiles,
        kept=None,
        image_ids=torch.tensor([7, 8, 7, 9]),
        contrast=rows(1, 6, 4, 5, 9),
        matching=rows(2, 4, 2, 7, 5),
        other=rows(3, 3, 5, 4, 6),
        caption=rows(4, 7, 4, 5, 8),
        prompt=3,
        empty=(4, 2),
    )
    return replace(made, **changes)


def texts_of(given: TextRows) -> list[torch.Tensor]:
    return list(given.ids.split(given.lengths))


def slow_states(
    weights: released.State, sight: torch.Tensor, text: torch.Tensor, task: Any
) -> tuple[torch.Tensor, torch.Tensor]:
    """Queries and text of one copy: one picture, one text, one rectangle with its mask."""
    words = weights["qllama.model.embed_tokens.weight"][text]
    stream = torch.cat((weights["query_tokens"][0], words))[None]
    mask = allowed(task, released.QUERIES, len(text))[None]
    hidden = released.qllama(weights, stream, mask, sight[None])[0]
    return hidden[: released.QUERIES], hidden[released.QUERIES :]


def slow_contrast(
    weights: released.State, images: torch.Tensor, texts: torch.Tensor, target: torch.Tensor, rows: list[int]
) -> torch.Tensor:
    """Both directions, row by row."""
    scale = weights["logit_scale"].exp()
    images, texts = F.normalize(images, dim=1), F.normalize(texts, dim=1)
    total = torch.zeros(())
    for one, other in ((images, texts), (texts, images)):
        odds = (scale * one @ other.T).log_softmax(1)
        total = total - sum((target[row] * odds[row]).sum() for row in rows) / len(rows) / 2
    return total


def slow_matching(
    weights: released.State, queries: list[torch.Tensor], labels: list[int | None]
) -> torch.Tensor:
    found = []
    for states, label in zip(queries, labels, strict=True):
        logits = (states @ weights["itm_head.weight"].T + weights["itm_head.bias"]).mean(0)
        if label is not None:
            found.append(-logits.log_softmax(0)[label])
    return torch.stack(found).mean()


def slow_three(weights: released.State, sight: torch.Tensor, given: TextPairBatch) -> list[torch.Tensor]:
    """Contrast, matching, generation: three stacked copies with three masks."""
    assert given.other is not None and given.matching is not None and given.caption is not None
    others, own = texts_of(given.other), texts_of(given.matching)
    matched = [others[0], others[1], own[2], own[3]]
    copies = [slow_states(weights, s, t, "matching")[0] for s, t in zip(sight, matched, strict=True)]
    labels: list[int | None] = [
        None if len(t) == 2 else n for t, n in zip(matched, (0, 0, 1, 1), strict=True)
    ]
    seen, said, losses = [], [], []
    for place, text in enumerate(texts_of(given.contrast)):
        queries, states = slow_states(weights, sight[place], text, "contrast")
        seen.append(released.pool(weights, "clip_projector2", queries[None])[0])
        said.append(states[-1] @ weights["text_projection"])
    for place, text in enumerate(texts_of(given.caption)):
        states = slow_states(weights, sight[place], text, "generation")[1]
        odds = (states @ weights["qllama.lm_head.weight"].T).log_softmax(1)
        losses += [-odds[n - 1, text[n]] for n in range(given.prompt, len(text))]
    asks = [place for place, length in enumerate(given.contrast.lengths) if length > given.empty[0]]
    contrast = slow_contrast(weights, torch.stack(seen), torch.stack(said), torch.eye(4), asks)
    return [contrast, slow_matching(weights, copies, labels), torch.stack(losses).mean()]


def test_three_tasks_in_one_pass(pair: tuple[QllamaPair, released.State]) -> None:
    """Values of all three losses; an empty text in matching and one in contrast are passed over."""
    model, weights = pair
    given = batch(other=rows(3, 3, 2, 4, 6))
    found = PairTasksObjective().losses(model, given, PLAIN)
    expected = slow_three(weights, model.look(given.tiles), given)
    for ours, slow in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, slow, rtol=1e-5, atol=1e-5)
    whole = PairTasksObjective().loss_sum(model, given, PLAIN)
    torch.testing.assert_close(whole, 4 * torch.stack(expected).sum(), rtol=1e-5, atol=1e-4)


def test_gradients_of_three_tasks(pair: tuple[QllamaPair, released.State]) -> None:
    """Sharing a query set between two tasks adds up what both say."""
    model, weights = pair
    named = ("query_tokens", "clip_projector2.cross_attn.q.weight", "itm_head.weight", "logit_scale")
    inner = "qllama.model.layers.2.cross_attn.k_proj.weight"
    leaves = {name: weights[name].clone().requires_grad_() for name in (*named, inner)}
    slow = torch.stack(slow_three(weights | leaves, model.look(batch().tiles).detach(), batch())).sum()
    expected = torch.autograd.grad(slow, list(leaves.values()))
    own = {**{name: name for name in named}, inner: inner.replace(".model", "", 1)}
    model.zero_grad()
    torch.stack(PairTasksObjective().losses(model, batch(), PLAIN)).sum().backward()  # type: ignore[no-untyped-call]
    for (name, _), wanted in zip(leaves.items(), expected, strict=True):
        grad = model.get_parameter(own[name]).grad
        torch.testing.assert_close(grad, wanted, rtol=1e-4, atol=1e-5)


def test_retrieval(pair: tuple[QllamaPair, released.State]) -> None:
    """Pictures 0 and 2 are the same: their captions share the target; every pair is both right and wrong."""
    model, weights = pair
    given = batch()
    assert given.other is not None and given.matching is not None
    sight = model.look(given.tiles)
    wrong, right = texts_of(given.other), texts_of(given.matching)
    copies = [
        slow_states(weights, s, t, "matching")[0]
        for s, t in zip((*sight, *sight), wrong + right, strict=True)
    ]
    seen, said = [], []
    for place, text in enumerate(texts_of(given.contrast)):
        queries, states = slow_states(weights, sight[place], text, "contrast")
        seen.append(released.pool(weights, "clip_projector2", queries[None])[0])
        said.append(states[-1] @ weights["text_projection"])
    target = torch.eye(4)
    target[0] = target[2] = torch.tensor([0.5, 0, 0.5, 0])
    plain = released.pool(weights, "clip_projector", sight)
    expected = sum(
        slow_contrast(weights, each, torch.stack(said), target, [0, 1, 2, 3])
        for each in (torch.stack(seen), plain)
    )
    contrast, matching = PairRetrievalObjective().losses(model, given, PLAIN)
    torch.testing.assert_close(contrast, torch.as_tensor(expected), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(
        matching, slow_matching(weights, copies, [0] * 4 + [1] * 4), rtol=1e-5, atol=1e-5
    )


def test_contrast_and_hidden_patches(pair: tuple[QllamaPair, released.State]) -> None:
    model, weights = pair
    kept = torch.tensor([[0, 3, 5], [1, 2, 15], [4, 7, 9], [0, 1, 2]])
    for given in (batch(), batch(kept=kept)):
        sight = model.look(given.tiles, given.kept)
        assert sight.shape[1] == (17 if given.kept is None else 4)
        images = released.pool(weights, "clip_projector", sight)
        said = []
        for text in texts_of(given.contrast):
            words = weights["qllama.model.embed_tokens.weight"][text][None]
            causal = torch.ones(1, len(text), len(text), dtype=torch.bool).tril()
            hidden = released.qllama(weights, words, causal, None)[0, -1]
            said.append(hidden @ weights["text_projection"])
        expected = slow_contrast(weights, images, torch.stack(said), torch.eye(4), [0, 1, 2, 3])
        found = PairContrastObjective().loss_sum(model, given, PLAIN) / 4
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_hidden_patches_are_not_looked_at(pair: tuple[QllamaPair, released.State]) -> None:
    """States of kept patches are those of a picture in which the others don't exist; order and place stay."""
    model, _ = pair
    tiles = batch().tiles.clone()
    kept = torch.tensor([[0, 5]] * 4)
    before = model.look(tiles, kept)
    tiles[:, 28:] = 255 - tiles[:, 28:]  # rows of patches 8 to 15
    torch.testing.assert_close(model.look(tiles, kept), before)
    everything = torch.arange(16).repeat(4, 1)
    torch.testing.assert_close(model.look(tiles, everything), model.look(tiles))


def test_smoothing_is_pytorchs() -> None:
    torch.manual_seed(0)
    images, texts = (F.normalize(torch.randn(5, 8), dim=1) for _ in range(2))
    scores = 3 * images @ texts.T
    expected = sum(F.cross_entropy(s, torch.arange(5), label_smoothing=0.1) for s in (scores, scores.T)) / 2
    found = contrastive_loss(images, texts, torch.tensor(3.0), smoothing=0.1)
    torch.testing.assert_close(found, torch.as_tensor(expected))


# Batches.


def test_batches_follow_from_their_numbers() -> None:
    learner = PairModelLearner.start(Start(family="nano_pair"), 0)
    data = stage(PairTasksObjective(pictures=4), accumulate=2)
    wide = stage(PairContrastObjective(pictures=8, masked=0.5))
    first, again = (data.objective.loader(data, learner, (), (3, 0), ranks()) for _ in range(2))
    one, two = first.next_step()
    assert torch.equal(one.tiles, again.next_step()[0].tiles)
    whole = wide.objective.loader(wide, learner, (), (3, 0), ranks()).next_step()[0]
    assert torch.equal(whole.tiles, torch.cat((one.tiles, two.tiles))), "halves of a batch are its pictures"
    assert whole.kept is not None and whole.kept.shape == (8, 8) and whole.kept.max() < 16
    assert (whole.kept.diff(dim=1) > 0).all() and len({tuple(row.tolist()) for row in whole.kept}) > 1
    assert one.matching is not None and one.other is not None and one.caption is not None
    own, others = texts_of(one.matching), texts_of(one.other)
    assert not any(torch.equal(a, b) for a, b in zip(own, others, strict=True))
    prompt = torch.tensor(learner.texts.prompt())
    for text, matched in zip(texts_of(one.caption), own, strict=True):
        assert torch.equal(text[: one.prompt], prompt) and text[-1] == learner.texts.eos == matched[-1]
    first.load_state_dict({"next": 0})
    assert torch.equal(first.next_step()[0].tiles, one.tiles)


def ranks() -> Any:
    from tessera.train.parallel.ranks import ALONE

    return ALONE


def test_crops_are_within_their_bounds() -> None:
    crops, rng = Crops(least=0.5, flip=0.5), Random(0)
    shares = []
    for _ in range(300):
        left, top, right, bottom = crops.box((90, 60), rng)
        assert 0 <= left < right <= 90 and 0 <= top < bottom <= 60
        assert 0.7 < (right - left) / (bottom - top) < 1.4
        shares.append((right - left) * (bottom - top) / 5400)
    assert 0.48 < min(shares) < 0.6 and max(shares) > 0.8
    assert crops.box((900, 10), rng)[3] == 10, "no draw fits: the middle"
    picture = PIL.Image.fromarray(np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8))
    plain, turned = Crops().square(picture, 16, rng), Crops(flip=1.0).square(picture, 16, rng)
    assert np.array_equal(turned, plain[:, ::-1])


@pytest.mark.parametrize(
    ("caption", "expected"),
    [
        ('A "Red" panda (sleeping): it\'s #1!', "a red panda sleeping it's 1"),
        ("  two\n\nlines~ ; * ", "two lines"),
        ("word " * 60, " ".join(["word"] * 50)),
        ("...", ""),
    ],
)
def test_captions_are_cleaned(caption: str, expected: str) -> None:
    assert cleaned(caption) == expected


def own_data(folder: Path, records: list[dict[str, Any]]) -> Path:
    """A manifest of captions with pictures 0.png to 2.png."""
    for number in range(3):
        pixels = np.full((8, 8, 3), 60 * number, np.uint8)
        PIL.Image.fromarray(pixels).save(folder / f"{number}.png")
    (folder / "captions.jsonl").write_text("".join(json.dumps(record) + "\n" for record in records))
    meta = {"own": {"root": str(folder), "annotation": str(folder / "captions.jsonl")}}
    (folder / "meta.json").write_text(json.dumps(meta))
    return folder / "meta.json"


def test_own_data(tmp_path: Path) -> None:
    """Every record once a pass; captions of one image_id, or of one picture, are no negatives."""
    captions = [
        ("0.png", "A dog.", 5),
        ("1.png", "a cat", 5),
        ("2.png", "a bird", None),
        ("2.png", "a fowl", None),
    ]
    records = [
        {"image": image, "caption": text} | ({} if identity is None else {"image_id": identity})
        for image, text, identity in captions
    ]
    spec = ManifestSpec(meta=str(own_data(tmp_path, records)))
    data = stage(PairRetrievalObjective(pictures=4), (spec,), epochs=1)
    learner = PairModelLearner.start(Start(family="nano_pair"), 0)
    sources, report = data.objective.check(data, learner)
    assert report.records == 4 and data.objective.batches_per_pass(data, learner, sources) == 1
    loader = data.objective.loader(data, learner, sources, (0, 0), ranks())
    for found in (loader.next_step()[0], loader.next_step()[0]):
        written = [learner.tokenizer.decode(ids.tolist()) for ids in texts_of(found.matching)]
        assert sorted(written) == ["a bird", "a cat", "a dog", "a fowl"]
        alike = found.image_ids[:, None] == found.image_ids
        assert alike.sum() == 8 and alike[written.index("a dog"), written.index("a cat")]
        others = [learner.tokenizer.decode(ids.tolist()) for ids in texts_of(found.other)]
        beasts = {"a dog", "a cat"}
        assert all((a in beasts) != (b in beasts) for a, b in zip(written, others, strict=True))


def test_faults_of_data_are_told_before_the_first_step(tmp_path: Path) -> None:
    records = [
        {"image": "0.png", "caption": "fine"},
        {"image": "9.png", "caption": "no such picture"},
        {"image": "1.png", "caption": "..."},
        {"image": "2.png", "caption": "odd", "image_id": [1]},
        {"images": ["0.png", "1.png"], "caption": "two"},
    ]
    spec = ManifestSpec(meta=str(own_data(tmp_path, records)))
    learner = PairModelLearner.start(Start(family="nano_pair"), 0)
    data = stage(PairRetrievalObjective(pictures=2), (spec,))
    with pytest.raises(DataError) as caught:
        data.objective.check(data, learner)
    told = [(fault.line, fault.field) for fault in caught.value.faults]
    assert told == [(2, "image"), (3, "caption"), (4, "image_id"), (5, "image")]
    assert "9.png" in str(caught.value) and "a pair has one" in str(caught.value)
    lenient = data.model_copy(update={"packing": PackingConfig(on_fault="skip")})
    sources, report = data.objective.check(lenient, learner)
    assert sources[0].source.size == 1 and len(report.faults) == 4
    maker = PairStream((), sources, 0)
    assert maker[0].caption == "fine"


def test_settings_that_pairs_do_not_have_are_named() -> None:
    learner = PairModelLearner.start(Start(family="nano_pair"), 0)
    with pytest.raises(ValueError, match="suites clip show a clip"):
        clips = stage(PairContrastObjective(), (PlaygroundSource(suites={"clip": 1.0}),))
        clips.objective.check(clips, learner)
    with pytest.raises(ValueError, match="side = 10: patches of 4 px"):
        odd = stage(PairContrastObjective(side=10))
        odd.objective.loader(odd, learner, (), (0, 0), ranks())
    with pytest.raises(ValueError, match="drawn pairs never end"):
        set_up(
            Recipe(
                name="x", stages=(stage(PairContrastObjective(), epochs=1),), start=Start(family="nano_pair")
            )
        )
    for wrong in (Start(decoder="x"), Start(add_tokens=("<a>",)), Start(family="InternVL-14B-224px")):
        with pytest.raises(ValueError, match=r"start\."):
            PairModelLearner.start(wrong, 0)


# Runs.


def trained(folder: Path, *stages: Stage, **start: Any) -> tuple[list[float], Path]:
    recipe = Recipe(name="pair", stages=stages, start=Start(**start), precision="float32", seed=3)
    reports = list(Trainer(set_up(recipe), folder).run())
    return [report.loss for report in reports], folder / f"{len(stages) - 1}_{stages[-1].name}"


def test_a_run_through_all_stages(tmp_path: Path) -> None:
    """Stage 2 moves what its rules name and nothing else; what is saved opens under the released names."""
    first = stage(PairContrastObjective(pictures=4, masked=0.5), drop_path=0.2, drop_path_uniform=True)
    new = r"^query_tokens|\.cross_attn\.|^clip_projector2\.|^itm_head\.|^logit_scale"
    rules = (Rule(pattern=new, learning_rate=1e-3), Rule(pattern="."))
    losses, folder = trained(tmp_path / "one", first, family="nano_pair")
    again, _ = trained(tmp_path / "two", first, family="nano_pair")
    assert losses == again and all(np.isfinite(losses))
    before = load_pair(folder).model.state_dict()
    tasks = stage(PairTasksObjective(pictures=4), rules=rules)
    _, second = trained(tmp_path / "three", tasks, checkpoint=str(folder))
    after = load_pair(second)
    moved = {name for name, value in after.model.state_dict().items() if not torch.equal(value, before[name])}
    assert moved and all(
        name.startswith(("query_tokens", "clip_projector2", "itm_head", "logit_scale"))
        or ".cross_attn." in name
        for name in moved
    )
    assert "query_tokens" in moved and "itm_head.weight" in moved
    assert json.loads((second / "card.json").read_text())["recipe"] == "pair"


def test_drop_path_and_layer_decay_are_the_published_ones() -> None:
    """0.2 in every layer of stage 1; rate ** (layers + 2 - layer - 1) in the fine-tune, full above blocks."""
    from tessera.nn.drop_path import set_drop_path

    model = PairModelLearner.start(Start(family="nano_pair"), 0).model
    set_drop_path(model, 0.2, uniform=True)
    blocks: list[Any] = [module for module in model.modules() if hasattr(module, "drop_path")]
    assert [block.drop_path for block in blocks] == [pytest.approx(0.2)] * 2
    rules = (
        Rule(pattern=r"^(vision|qllama)\.", learning_rate=1.0, layer_decay=0.9),
        Rule(pattern=".", learning_rate=1.0),
    )
    rates = {one.name: one.learning_rate for one in assign(model, rules)}
    assert rates["vision.layers.0.mlp.fc1.weight"] == pytest.approx(0.9 ** (2 + 2 - 1 - 1))
    assert rates["qllama.layers.3.mlp.up_proj.weight"] == pytest.approx(0.9 ** (4 + 2 - 4 - 1))
    assert rates["qllama.embed_tokens.weight"] == pytest.approx(0.9**5)
    assert rates["qllama.lm_head.weight"] == 1.0 == rates["itm_head.weight"]


def test_another_side_of_the_square() -> None:
    plain = PairModelLearner.start(Start(family="nano_pair"), 0)
    wide = PairModelLearner.start(Start(family="nano_pair", image_size=24), 0)
    assert wide.reading.config.vision.grid == 6 and wide.model.config == wide.reading.config
    expected = plain.model.vision.embeddings.positions(6, 6)
    torch.testing.assert_close(wide.model.vision.embeddings.position_embedding, expected)
