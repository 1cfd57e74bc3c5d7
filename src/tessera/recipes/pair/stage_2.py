"""Stage 2 of InternVL 1.0: contrast, matching and captions in one pass of QLLaMA over a frozen pair.

Command:    tessera train pair/stage_2 --out runs/mine
Generation: 1
Size:       14B
Trained:    queries, heads
Stages:     tasks (80,000 steps)
Rate:       5e-5
Batch:      20K
Hardware:   160 GPUs
Time:       not published
Expected:   CIDEr 128.2 on COCO captions without fine-tuning (InternVL-G); not run here
Source:     arXiv 2312.14238, section 3.3 and appendix; internvl_g, model/internvl_stage2
Unverified: crops, the shape of the schedule

1.6 B pairs are seen, of 1.03 B. The three losses weigh one each.
"""

from tessera.recipes.pair.published import NEW, pair_from, pairs_of
from tessera.train.objective.pairing.crops import Crops
from tessera.train.objective.pairing.second import PairTasksObjective
from tessera.train.recipe import Recipe, Stage
from tessera.train.update.optimizers import OptimizerConfig
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule


def recipe() -> Recipe:
    """One stage from the model of stage 1."""
    stage = Stage(
        name="tasks",
        steps=80_000,
        rules=(Rule(pattern=NEW, learning_rate=5e-5, weight_decay=0.05), Rule(pattern=".")),
        sources=pairs_of("the same after strict filtering, 1.03 B pairs"),
        objective=PairTasksObjective(pictures=128, crops=Crops(least=0.5)),
        optimizer=OptimizerConfig(kind="adamw", betas=(0.9, 0.98)),
        schedule=Schedule(warmup=2000),
        drop_path=0.0,
        recompute="blocks",
        accumulate=160,
    )
    return Recipe(name="pair_stage_2", stages=(stage,), start=pair_from("the model of stage 1"))
