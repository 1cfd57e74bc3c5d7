"""Write tests/golden/preference_losses.json: TRL's preference losses of given log-probabilities.

Version 0.10.1 is the one that InternVL2.5-MPO pins (docs/facts/preferences.md); 1.16.0 is a recent one, whose
DPO trainer has changed. Neither is needed to run the tests. To write the table again, unpack both wheels:

    PYTHONPATH=src:. python tests/golden/make_preference_losses.py OLD_FOLDER NEW_FOLDER
"""

from __future__ import annotations

import ast
import json
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F

PAIRS, LONGEST = 6, 9
SETTINGS = [(0.1, 0.0), (0.1, 0.1), (0.5, 0.0), (2.5, 0.3)]
"""beta and label smoothing."""


def draw() -> tuple[torch.Tensor, torch.Tensor]:
    """Log-probabilities float64 [pairs, side, policy or reference, tokens], tokens int64 [pairs, side]."""
    rng = torch.Generator().manual_seed(7)
    lengths = torch.randint(1, LONGEST + 1, (PAIRS, 2), generator=rng)
    logps = -torch.rand(PAIRS, 2, 2, LONGEST, generator=rng, dtype=torch.float64) * 4
    return logps * (torch.arange(LONGEST) < lengths[:, :, None, None]), lengths


def extract(file: Path, *names: str) -> dict[str, Any]:
    """Functions and classes of a file, without the imports that a newer environment lacks."""
    found = [n for n in ast.walk(ast.parse(file.read_text())) if getattr(n, "name", None) in names]
    space: dict[str, Any] = {"torch": torch, "F": F, "dataclass": dataclass, "Any": Any}
    space |= {"Tuple": tuple, "Accelerator": Any, "FDivergenceType": _Divergence}
    for node in found:
        exec(compile(ast.Module([node], []), str(file), "exec"), space)  # type: ignore[arg-type]
    return space


class _Divergence:
    ALPHA_DIVERGENCE = SimpleNamespace(value="alpha")
    JS_DIVERGENCE = SimpleNamespace(value="js")


def old_losses(folder: Path, sums: torch.Tensor, lengths: torch.Tensor) -> list[dict[str, Any]]:
    """`DPOTrainer.dpo_loss` of 0.10.1, a pair a call, so that the running mean goes on."""
    own = extract(folder / "trl/trainer/dpo_trainer.py", "dpo_loss")
    moments = extract(folder / "trl/trainer/utils.py", "RunningMoments")["RunningMoments"]
    rows = []
    for kind in ("sigmoid", "hinge", "ipo", "bco_pair"):
        for beta, smoothing in SETTINGS:
            if smoothing and kind != "sigmoid":
                continue
            accelerator = SimpleNamespace(device="cpu", use_distributed=False)
            trainer = SimpleNamespace(accelerator=accelerator, reference_free=False, f_divergence_type="kl")
            trainer.beta, trainer.label_smoothing, trainer.loss_type = beta, smoothing, kind
            trainer.running = moments(accelerator)
            given = sums / lengths[:, :, None] if kind == "ipo" else sums
            values = [
                own["dpo_loss"](trainer, *(pair[side, model].view(1) for model in (0, 1) for side in (0, 1)))[
                    0
                ]
                for pair in given
            ]
            rows.append(row("0.10.1", kind, beta, smoothing, values))
    return rows


def new_losses(folder: Path, logps: torch.Tensor, lengths: torch.Tensor) -> list[dict[str, Any]]:
    """`DPOTrainer._compute_loss` and `CPOTrainer.cpo_loss` of 1.16.0."""
    sys.path.append(str(folder))
    from trl.experimental.cpo.cpo_trainer import CPOTrainer
    from trl.trainer.dpo_trainer import DPOTrainer

    rows = []
    for kind in ("sigmoid", "hinge", "ipo", "bco_pair"):
        for beta in (0.1, 0.5):
            values = [
                DPOTrainer._compute_loss(_stub(kind, beta), _model(pair[:, 0]), _inputs(pair, own), False)
                for pair, own in zip(logps, lengths, strict=True)
            ]
            rows.append(row("1.16.0", kind, beta, 0.0, values))
    means = logps.sum(-1)[:, :, 0] / lengths
    for beta, smoothing in SETTINGS:
        accelerator = SimpleNamespace(device="cpu")
        trainer = SimpleNamespace(alpha=0.0, accelerator=accelerator, loss_type="simpo", simpo_gamma=0.7)
        trainer.beta, trainer.label_smoothing = beta, smoothing
        losses = CPOTrainer.cpo_loss(trainer, means[:, 0], means[:, 1])[0]
        rows.append(row("1.16.0", "simpo", beta, smoothing, list(losses)) | {"margin": 0.7})
    return rows


def _stub(kind: str, beta: float) -> Any:
    """What `_compute_loss` asks of its trainer."""
    same = SimpleNamespace(device="cpu", gather=lambda x: x, gather_for_metrics=lambda x: x)
    return SimpleNamespace(
        model=SimpleNamespace(training=True), accelerator=same, aux_loss_enabled=False, ld_alpha=None,
        precompute_ref_logps=True, f_divergence_type="reverse_kl", loss_types=[kind], loss_weights=[1.0],
        beta=beta, label_smoothing=0.0, use_weighting=False, _metrics={"train": defaultdict(list)},
        _total_train_tokens=0, _tp_size=1,
    )  # fmt: skip


def _inputs(pair: torch.Tensor, lengths: torch.Tensor) -> dict[str, torch.Tensor]:
    """A prompt of one token, and both answers padded to one length."""
    mask = torch.cat([torch.zeros(2, 1), (torch.arange(LONGEST) < lengths[:, None]).float()], 1).long()
    reference = pair[:, 1].sum(-1)
    return {
        "input_ids": torch.ones_like(mask),
        "attention_mask": torch.ones_like(mask),
        "completion_mask": mask,
        "ref_chosen_logps": reference[:1],
        "ref_rejected_logps": reference[1:],
    }


def _model(policy: torch.Tensor) -> Any:
    """A model that says these log-probabilities."""
    zeros = torch.zeros_like(policy)
    said = SimpleNamespace(log_probs=policy, entropy=zeros, mean_logits=zeros, is_top1=zeros > 0)
    return lambda **_: said


def row(version: str, kind: str, beta: float, smoothing: float, values: list[Any]) -> dict[str, Any]:
    return {
        "trl": version,
        "loss": kind,
        "beta": beta,
        "label_smoothing": smoothing,
        "values": [round(float(value), 9) for value in values],
    }


def main(old: Path, new: Path) -> None:
    """Write the table: sums of log-probabilities [pairs][side][policy, reference], tokens, losses."""
    logps, lengths = draw()
    sums = logps.sum(-1)
    rows = [*old_losses(old, sums, lengths), *new_losses(new, logps, lengths)]
    table = {"logprobs": sums.tolist(), "tokens": lengths.tolist(), "losses": rows}
    (Path(__file__).parent / "preference_losses.json").write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
