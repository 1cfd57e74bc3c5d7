"""Stage 2: contrast, matching and generation in one pass of QLLaMA.

The paper stacks three copies of queries and text, each with its mask. Queries that see no text are the same
in two of them, contrast and generation, so those share one set here: the same numbers, a quarter less work.
"""

from __future__ import annotations

from typing import ClassVar, Literal, NamedTuple

import torch
import torch.nn.functional as F

from tessera.models.pair.pair import QllamaPair
from tessera.models.pair.qllama import Sight
from tessera.models.pair.streams import Task, mixed
from tessera.nn.cross_entropy import cross_entropy_sum
from tessera.train.objective.pairing.batches import TextPairBatch, TextRows
from tessera.train.objective.pairing.gathering import together
from tessera.train.objective.pairing.losses import contrastive_loss, generation_rows, matching_loss
from tessera.train.objective.pairing.stage import PairStage


class TaskTexts(NamedTuple):
    """Texts with the query set that each belongs to, and what they are for."""

    rows: TextRows
    sets: range
    task: Task


class StreamStates(NamedTuple):
    """States of query sets [S, Q, D], and of the texts of each task, laid end to end."""

    queries: torch.Tensor
    texts: list[torch.Tensor]


def read_together(model: QllamaPair, states: torch.Tensor, sets: int, asked: list[TaskTexts]) -> StreamStates:
    """One pass over `sets` query sets and all texts; set s reads the picture s modulo their number."""
    queries, device = model.config.num_query_token, states.device
    owners = [each for one in asked for each in one.sets]
    tasks = [one.task for one in asked for _ in one.sets]
    layout = mixed(queries, owners, tasks, [length for one in asked for length in one.rows.lengths])
    ids = torch.cat([one.rows.ids for one in asked]).to(device)
    stream = torch.cat((model.queries(sets), model.qllama.embed(ids)))
    hidden = model.qllama(stream, layout, Sight(states, sets, queries))
    heads, *texts = hidden.split([sets * queries, *(len(one.rows.ids) for one in asked)])
    return StreamStates(heads.unflatten(0, (sets, queries)), texts)


def joined(first: TextRows, second: TextRows, cut: int) -> TextRows:
    """The first `cut` texts of one, and the others of the other."""
    split = sum(first.lengths[:cut]), sum(second.lengths[:cut])
    ids = torch.cat((first.ids[: split[0]], second.ids[split[1] :]))
    return TextRows(ids, (*first.lengths[:cut], *second.lengths[cut:]))


def last_states(states: torch.Tensor, lengths: tuple[int, ...]) -> torch.Tensor:
    """Of texts laid end to end [T, D], those of their last tokens, [N, D]."""
    return states[torch.tensor(lengths).cumsum(0) - 1]


class PairTasksObjective(PairStage):
    """Image-text contrast, matching and generation, added up; the first half of a batch, rounded up, is
    matched with a caption of another picture, the rest with its own."""

    kind: Literal["pair_tasks"] = "pair_tasks"
    soft: bool = False
    """As in stage 1."""
    TASKS: ClassVar[bool] = True

    def loss_sum(self, model: QllamaPair, batch: TextPairBatch, device: torch.device) -> torch.Tensor:
        """Sum of the three means, times pairs."""
        contrast, matching, generation = self.losses(model, batch, device)
        return (contrast + matching + generation) * batch.size

    def losses(
        self, model: QllamaPair, batch: TextPairBatch, device: torch.device
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Means of contrast, matching and generation."""
        assert batch.matching is not None and batch.other is not None and batch.caption is not None
        count = batch.size
        wrong = count - count // 2
        matched = joined(batch.other, batch.matching, wrong)
        read = read_together(
            model,
            model.look(batch.tiles.to(device), batch.kept),
            2 * count,
            [
                TaskTexts(matched, range(count), "matching"),
                TaskTexts(batch.contrast, range(count, 2 * count), "contrast"),
                TaskTexts(batch.caption, range(count, 2 * count), "generation"),
            ],
        )
        seen = model.clip_projector2(read.queries[count:])
        said = model.project_states(last_states(read.texts[1], batch.contrast.lengths))
        contrast = contrastive_loss(
            F.normalize(seen, dim=-1),
            F.normalize(said, dim=-1),
            model.scale(),
            batch.image_ids if self.soft else None,
            torch.tensor(batch.contrast.lengths) > batch.empty[0],
            model.config.label_smoothing,
            together(model.training),
        )
        fits, full = torch.arange(count) >= wrong, torch.tensor(matched.lengths) > batch.empty[1]
        matching = matching_loss(model.itm_head(read.queries[:count]), fits, full)
        return contrast, matching, caption_loss(model, read.texts[2], batch.caption, batch.prompt)


def caption_loss(model: QllamaPair, states: torch.Tensor, captions: TextRows, prompt: int) -> torch.Tensor:
    """Mean cross-entropy of every token behind the prompt, eos included; only these meet the vocabulary."""
    learned, before = generation_rows(captions.lengths, prompt)
    rows, targets = states[before.to(states.device)], captions.ids[learned].to(states.device)
    ones = torch.ones(len(rows), device=rows.device)
    head, vocabulary = model.qllama.lm_head, model.config.qllama.vocab_size
    return cross_entropy_sum(head, rows, targets, ones, vocabulary) / len(rows)
