"""InternVL-14B fine-tuned for retrieval: Flickr30K, Flickr30K-CN or COCO at 364 px.

Command:    tessera train pair/retrieval --out runs/mine
Generation: 1
Size:       14B
Trained:    all parts
Stages:     retrieval (1,417 steps)
Rate:       1e-6
Batch:      1,024
Hardware:   32 GPUs
Time:       not published
Expected:   see the paper's table 9 for Flickr30K and COCO; not run here
Source:     internvl_g/shell/finetune/internvl_stage2_finetune_flickr_364_bs1024_ep10.sh

Ten passes (five for COCO) over captions that were cleaned; captions of one `image_id` share the target of the
contrast. Rates fall by 0.9 a block from the top of ViT and QLLaMA; queries and scale have the lowest. The
scripts that train the heads alone freeze the rest by rules; those with LoRA have no recipe here.
"""

from tessera.recipes.pair.published import pairs_of
from tessera.train.objective.pairing.crops import Crops
from tessera.train.objective.pairing.retrieval import PairRetrievalObjective
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.update.rules import Rule
from tessera.train.update.schedule import Schedule

RATE, DECAY, LAYER_DECAY = 1e-6, 0.05, 0.9
QLLAMA_LAYERS = 32


def recipe() -> Recipe:
    """One stage from the released model, its positions resized."""
    shared = {"learning_rate": RATE, "weight_decay": DECAY}
    lowest = RATE * LAYER_DECAY ** (QLLAMA_LAYERS + 1)
    stage = Stage(
        name="retrieval",
        steps=1417,
        epochs=10,
        rules=(
            Rule(pattern=r"^(query_tokens|logit_scale)$", learning_rate=lowest, weight_decay=DECAY),
            Rule(pattern=r"^(vision|qllama)\.", layer_decay=LAYER_DECAY, **shared),
            Rule(pattern=".", **shared),
        ),
        sources=pairs_of("Flickr30K of Karpathy's split, 145,000 captions"),
        objective=PairRetrievalObjective(pictures=32, crops=Crops(least=0.5, flip=0.5)),
        schedule=Schedule(warmup=100),
        drop_path=0.3,
        recompute="blocks",
        accumulate=32,
    )
    start = Start(checkpoint="OpenGVLab/InternVL-14B-224px", image_size=364)
    return Recipe(name="pair_retrieval", stages=(stage,), start=start)
