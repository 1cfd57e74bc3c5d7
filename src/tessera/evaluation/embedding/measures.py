"""Zero-shot accuracy of pictures in class folders, and recall of pictures or clips and their captions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tessera.engine.embedding.batches import batches
from tessera.engine.embedding.classes import PICTURES_AT_ONCE, TEXTS_AT_ONCE, class_weights, classify
from tessera.engine.embedding.clips import FRAMES, embed_clip
from tessera.engine.embedding.embedder import Embedder
from tessera.engine.embedding.items import CLIPS
from tessera.engine.embedding.nearest import nearest
from tessera.evaluation.embedding.folders import ClassFolders
from tessera.evaluation.embedding.pairs import CaptionedMedia
from tessera.runtime.progress import Progress, silent
from tessera.scoring.ranking.classes import ClassFigures, class_figures
from tessera.scoring.ranking.recall import PUBLISHED, Recall, recall_at


def zero_shot(
    embedder: Embedder,
    data: ClassFolders,
    prompts: Sequence[str],
    mode: str = "c",
    progress: Progress = silent,
) -> ClassFigures:
    """Accuracy by the published rule: class weights from all prompts, the middle of each picture."""
    weights = class_weights(embedder, data.names, prompts, progress)
    guesses = []
    for guess in classify(embedder, data.pictures, weights, mode=mode):
        guesses.append(guess.classes)
        progress("pictures", len(guesses), len(data.pictures))
    return class_figures(data.truths, guesses, len(data.names))


@dataclass(frozen=True)
class BothRecalls:
    """Recall of pictures by texts, and of texts by pictures."""

    by_text: Recall
    by_picture: Recall


def retrieval(
    embedder: Embedder,
    data: CaptionedMedia,
    mode: str = "c",
    frames: int = FRAMES,
    dual_softmax: bool = False,
    ks: Sequence[int] = PUBLISHED,
    progress: Progress = silent,
) -> BothRecalls:
    """Recall at k in both directions; clips are the mean of their frames."""
    media = _media_rows(embedder, data.media, mode, frames, progress)
    texts = [embedder.embed_texts(some) for some in batches(data.captions, TEXTS_AT_ONCE)]
    return recalls(media, torch.cat(texts), data.owners, dual_softmax, ks)


def recalls(
    media: Tensor,
    texts: Tensor,
    owners: Sequence[int],
    dual_softmax: bool = False,
    ks: Sequence[int] = PUBLISHED,
) -> BothRecalls:
    """The same of unit rows, media float32 [N, W] and texts [M, W]; owners: number of each text's medium."""
    own: list[set[int]] = [set() for _ in range(len(media))]
    for text, owner in enumerate(owners):
        own[owner].add(text)
    by_text = nearest(texts, media, max(ks), dual_softmax=dual_softmax).rows.tolist()
    by_picture = nearest(media, texts, max(ks), dual_softmax=dual_softmax).rows.tolist()
    return BothRecalls(recall_at(by_text, [{owner} for owner in owners], ks), recall_at(by_picture, own, ks))


def _media_rows(
    embedder: Embedder, media: Sequence[Path], mode: str, frames: int, progress: Progress
) -> Tensor:
    rows = torch.empty(len(media), embedder.width)
    clips = [place for place, path in enumerate(media) if path.suffix.lower() in CLIPS or path.is_dir()]
    for place in clips:
        rows[place] = embed_clip(embedder, media[place], frames, mode)
        progress("clips", place + 1, len(media))
    pictures = sorted(set(range(len(media))) - set(clips))
    for some in batches(pictures, PICTURES_AT_ONCE):
        rows[some] = embedder.embed_images([media[place] for place in some], mode)
        progress("pictures", some[-1] + 1, len(media))
    return rows
