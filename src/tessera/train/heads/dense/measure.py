"""Classes of every pixel of pictures, and how well they are met."""

import numpy as np
import PIL.Image
import torch
from torch.nn import functional as F

from tessera.checkpoints.backbone.encoder import VisionEncoder
from tessera.models.heads.segmenter import Segmenter
from tessera.models.vlm import normalise
from tessera.runtime.progress import Progress, silent
from tessera.scoring.dense.overlap import IGNORED, Overlap
from tessera.train.heads.dense.masked import Labels, Masked
from tessera.train.heads.dense.settings import DenseConfig
from tessera.train.heads.dense.slide import slide
from tessera.train.heads.dense.views import asked_size


@torch.no_grad()
def predict(encoder: VisionEncoder, model: Segmenter, config: DenseConfig, image: PIL.Image.Image) -> Labels:
    """The class of every pixel of an RGB picture, uint8 [H, W] at its own size."""
    model.eval()
    size = asked_size((image.width, image.height), config.views, encoder.config.patch_size)
    resized = np.array(image.resize(size, PIL.Image.Resampling.BILINEAR))
    tiles = torch.from_numpy(resized)[None].to(encoder.device)
    pixels = normalise(tiles, encoder.mean, encoder.std, torch.float32)
    if config.window is None:
        scores = model(pixels)[0]
    else:
        scores = slide(lambda part: model(part)[0], pixels, config.window, config.stride)
    whole = F.interpolate(scores, (image.height, image.width), mode="bilinear", align_corners=False)
    return whole[0].argmax(0).to(torch.uint8).cpu().numpy()


def measure(
    encoder: VisionEncoder, model: Segmenter, config: DenseConfig, data: Masked, progress: Progress = silent
) -> Overlap:
    """Counts over all pictures; one is in memory at a time."""
    classes = len(data.names)
    found = Overlap(tuple((0,) * classes for _ in range(classes)))
    for place in range(len(data)):
        image, labels = data[place]
        found += overlap(labels, predict(encoder, model, config, image), classes)
        progress("pictures", place + 1, len(data))
    return found


def overlap(labels: Labels, predicted: Labels, classes: int) -> Overlap:
    """`count_overlap` of one picture, by one pass of numpy."""
    counts = labels != IGNORED
    places = labels[counts].astype(np.int64) * classes + predicted[counts]
    table = np.bincount(places, minlength=classes**2).reshape(classes, classes)
    return Overlap(tuple(map(tuple, table.tolist())))
