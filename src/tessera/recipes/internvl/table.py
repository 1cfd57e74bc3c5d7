"""Every published stage of the series, in order of the generations, and the runs that join stages."""

from functools import cache

from tessera.recipes.internvl import mpo, reward, second, v1, v2, v2_5, v3, vit
from tessera.recipes.internvl.stage import PublishedStage
from tessera.recipes.mono import delta_tuning

Run = tuple[PublishedStage, ...]
"""Stages that one command runs behind each other."""


@cache
def published_runs() -> dict[str, Run]:
    """Name, such as internvl_2_5/8b/stage_1, to the stage; `all_stages` are those of a size in one run."""
    trained = [
        *(v1.stages("1", size) for size in v1.CHAT_1_0),
        *(v1.stages(*given) for given in (("1.1", "19B"), ("1.2", "40B"))),
        *(v1.stages("1.5", size) for size in v1.SIZES),
        *(v2_5.stages(size) for size in v2_5.SIZES),
        *(v3.stages(size) for size in v3.SIZES),
        delta_tuning.stages(),
    ]
    single: list[PublishedStage] = [stage for stages in trained for stage in stages]
    single += [v2.domain(size, name) for size in v2.SIZES for name in v2.DOMAINS]
    single += [v2.v2pe(), vit.distilled(), reward.process()]
    single += [make(model) for model in second.SERIES for make in (second.full, second.lora)]
    single += [second.coco_lora(model) for model in second.COCO]
    single += [mpo.stage(model) for model in mpo.MODELS]
    runs: dict[str, Run] = {stage.shelf_name: (stage,) for stage in single}
    for stages in trained:
        runs[f"{stages[0].shelf_name.rpartition('/')[0]}/all_stages"] = stages
    return dict(sorted(runs.items(), key=_place))


def _place(item: tuple[str, Run]) -> tuple[float, float, int]:
    """By generation, then size, then as they follow each other."""
    first = item[1][0]
    order = (
        "pretrain",
        "stage_1",
        "stage_1_5",
        "stage_2",
        "native",
        "finetune",
        "s1_1",
        "s1_2",
        "s1_3",
        "sft",
        "all_stages",
        "mpo",
    )
    name = item[0].rpartition("/")[2]
    place = order.index(name) if name in order else len(order) + name.startswith("second")
    return float(first.entry.generation), first.entry.parameters()["total"] // 1e8, place
