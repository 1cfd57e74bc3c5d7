"""Stage 1 of InternVL 1.0: contrast of pictures and texts, half of the patches hidden until the end.

Command:    tessera train pair/stage_1 --out runs/mine
Generation: 1
Size:       14B
Trained:    ViT, LLaMA, heads
Stages:     masked (171,951 steps), whole (3,049 steps)
Rate:       1e-3
Batch:      164K
Hardware:   640 GPUs
Time:       not published
Expected:   zero-shot ImageNet-1K 83.2 (InternVL-C); not run here
Source:     arXiv 2312.14238, section 3.3 and appendix
Unverified: crops, the shape of the schedule, rates of the last 0.5 B pairs

Texts learn at 1e-4. 28.7 B pairs are seen, of 4.98 B; the last 0.5 B whole and at
224 px. `pictures` is what one process takes, and `accumulate` the processes: with fewer, lower it, and the
batch that is contrasted shrinks. The authors began from a random ViT and a multilingual LLaMA-7B; here a run
begins from the folder of a pair.
"""

from tessera.recipes.pair.published import by_towers, pair_from, pairs_of
from tessera.train.objective.pairing.crops import Crops
from tessera.train.objective.pairing.first import PairContrastObjective
from tessera.train.recipe import Recipe, Stage
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.schedule import Schedule

STEPS, WHOLE = 175_000, 3_049
"""All steps, and those of the last 0.5 B pairs."""
PROCESSES, PICTURES = 640, 256


def recipe() -> Recipe:
    """Two stages; the second at a tenth of the rates."""
    masked = _stage("masked", STEPS - WHOLE, 1.0, PairContrastObjective(side=196, masked=0.5, **BATCH))
    whole = _stage("whole", WHOLE, 0.1, PairContrastObjective(**BATCH))
    start = pair_from("a random ViT of BEiT's kind and a multilingual LLaMA-7B")
    return Recipe(name="pair_stage_1", stages=(masked, whole), start=start)


BATCH = {"pictures": PICTURES, "crops": Crops(least=0.5)}


def _stage(name: str, steps: int, share: float, objective: PairContrastObjective) -> Stage:
    return Stage(
        name=name,
        steps=steps,
        rules=by_towers(1e-3 * share, 1e-4 * share, 0.1),
        sources=pairs_of("LAION-5B and others, 4.98 B pairs"),
        objective=objective,
        optimizer=OptimizerConfig(kind="adamw", betas=(0.9, 0.95)),
        schedule=Schedule(warmup=5000 if share == 1 else 0, horizon=STEPS if share == 1 else None),
        drop_path=0.2,
        drop_path_uniform=True,
        recompute="blocks",
        accumulate=PROCESSES,
    )
