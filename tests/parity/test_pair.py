"""The pair against slow arithmetic on the released names: both towers, all three masks, and LlamaModel."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from transformers import LlamaConfig, LlamaModel

from tessera.families.pairs import pair_families
from tessera.models.pair.pair import QllamaPair
from tessera.models.pair.qllama import Sight
from tessera.models.pair.streams import Task, mixed
from tessera.nn.attention.layout import Packed
from tests.parity import released_pair as released

TASKS: tuple[Task, ...] = ("matching", "contrast", "generation")
LENGTHS = (5, 1, 8)


def opened(weights: released.State, folder: Path) -> QllamaPair:
    """Our model with weights under the released names, by the key table and nothing else."""
    (family,) = pair_families()
    released.write(folder, weights, released.config())
    model = QllamaPair(family.layout.read_config(folder, None).config)
    groups = {name: family.layout.key_table().group(name) for name, _ in model.named_parameters()}
    model.load_state_dict({name: weights[group.stored[0]] for name, group in groups.items()})
    return model.eval()


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[QllamaPair, released.State]:
    weights = released.state()
    return opened(weights, tmp_path_factory.mktemp("pair")), weights


def texts(*lengths: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randint(3, 101, (length,), generator=generator) for length in lengths]


def test_text_alone_is_a_llama(pair: tuple[QllamaPair, released.State]) -> None:
    """LlamaModel knows no cross-attention: a text that no query reads does not meet it."""
    model, weights = pair
    llama = LlamaModel(LlamaConfig(**released.TEXT, vocab_size=101, rms_norm_eps=1e-6, pad_token_id=0)).eval()
    prefix = "qllama.model."
    known = {k.removeprefix(prefix): v for k, v in weights.items() if k.startswith(prefix)}
    llama.load_state_dict({k: v for k, v in known.items() if "cross_attn" not in k})
    ids = texts(*LENGTHS)
    with torch.no_grad():
        found = model.project_texts(torch.cat(ids), Packed(LENGTHS))
        last = torch.stack([llama(one[None]).last_hidden_state[0, -1] for one in ids])
    torch.testing.assert_close(found, last @ weights["text_projection"], rtol=1e-5, atol=1e-5)


def allowed(task: Task, queries: int, length: int) -> torch.Tensor:
    """bool [Q + T, Q + T], pair by pair, from the words of the facts."""
    total = queries + length

    def sees(row: int, column: int) -> bool:
        asks, asked = row < queries, column < queries
        match task:
            case "matching":
                return True
            case "contrast":
                return asks == asked and (asks or column <= row)
            case "generation":
                return (asks and asked) or column <= row

    return torch.tensor([[sees(row, column) for column in range(total)] for row in range(total)])


@pytest.mark.parametrize("task", TASKS)
def test_the_three_masks(task: Task) -> None:
    """One set and one text in the stream: the mask is the one written pair by pair."""
    layout = mixed(4, [0], [task], [5])
    assert torch.equal(layout.allowed(torch.device("cpu")), allowed(task, 4, 5))
    assert layout.positions().tolist() == list(range(9))


def test_one_pass_over_three_copies(pair: tuple[QllamaPair, released.State]) -> None:
    """Two pictures, three tasks each: states as of three rectangles with their masks, gradients too.

    Contrast and generation share one query set of a picture, for its queries see no text in either.
    """
    model, weights = pair
    queries, (first, second) = released.QUERIES, ((5, 3), (4, 6))
    sets, tasks = [0, 1, 2, 3, 2, 3], [task for task in TASKS for _ in range(2)]
    lengths = [*first, *second, 7, 2]
    ids = texts(*lengths)
    sight = torch.randn(2, 9, released.VIT["hidden_size"], generator=torch.Generator().manual_seed(2))
    layout = mixed(queries, sets, tasks, lengths)
    stream = torch.cat((model.queries(4), model.qllama.embed(torch.cat(ids))))
    found = model.qllama(stream, layout, Sight(sight, 4, queries))
    heads, tails = found[: 4 * queries].unflatten(0, (4, queries)), found[4 * queries :].split(lengths)
    for text, (own, task) in enumerate(zip(sets, tasks, strict=True)):
        rows = torch.cat((weights["query_tokens"][0], weights["qllama.model.embed_tokens.weight"][ids[text]]))
        mask = allowed(task, queries, lengths[text])[None]
        expected = released.qllama(weights, rows[None], mask, sight[own % 2][None])[0]
        torch.testing.assert_close(heads[own], expected[:queries], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(tails[text], expected[queries:], rtol=1e-5, atol=1e-5)


def test_pictures_in_both_modes(pair: tuple[QllamaPair, released.State]) -> None:
    model, weights = pair
    tiles = torch.randint(
        0, 256, (3, 56, 56, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    with torch.no_grad():
        sight = model.look(tiles)
        plain, mixture = model.project_images(sight), model.project_images(sight, "g")
        expected = released.pool(weights, "clip_projector", sight)
        torch.testing.assert_close(plain, expected, rtol=1e-5, atol=1e-5)
        start = weights["query_tokens"].expand(3, -1, -1)
        everything = torch.ones(3, released.QUERIES, released.QUERIES, dtype=torch.bool)
        read = released.pool(weights, "clip_projector2", released.qllama(weights, start, everything, sight))
    total = F.normalize(read, dim=-1) + F.normalize(expected, dim=-1)
    torch.testing.assert_close(mixture, total, rtol=1e-5, atol=1e-5)
    assert sight.shape == (3, 17, 48)


def test_a_query_set_that_sees_a_text_serves_no_other() -> None:
    with pytest.raises(ValueError, match="query set 0 sees a text"):
        mixed(4, [0, 0], ["matching", "contrast"], [5, 5])
