"""What two processes compute together, for tests: each case into a file of its own.

torchrun --standalone --nproc-per-node 2 -m tests.train.parallel.pair FOLDER CASE...
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from safetensors.torch import save_file
from torch import nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.tensor import Shard, distribute_tensor

from tessera.cli.main import main
from tessera.cli.training.answers import Answerer
from tessera.nn.drop_path import set_drop_path
from tessera.nn.linear import make_linear
from tessera.nn.lora import LoRAConfig, replace_module
from tessera.packing.mix import Draw, MixState
from tessera.packing.pack import Pack, collate
from tessera.packing.samples.encode import DrawEncoder
from tessera.records.manifest import PlaygroundSource
from tessera.runtime.interrupt import stop_on_signals
from tessera.train.loop import Trainer
from tessera.train.objective.contract import Beginning
from tessera.train.objective.conversation import ConversationObjective
from tessera.train.objective.pairing.first import PairContrastObjective
from tessera.train.objective.pairing.retrieval import PairRetrievalObjective
from tessera.train.objective.preference import PreferenceObjective
from tessera.train.parallel.config import Parallel
from tessera.train.parallel.dealing import deal
from tessera.train.parallel.mesh import ProcessMesh, arrange
from tessera.train.parallel.ranks import Ranks, join, totals
from tessera.train.parallel.shard import parallelise, whole
from tessera.train.recipe import Recipe, Stage, Start
from tessera.train.setup import set_up
from tessera.train.step import Step
from tessera.train.update.masters import Masters
from tessera.train.update.optimizers import Optimizer, OptimizerConfig
from tessera.train.update.rules import Rule, assign
from tessera.train.update.wrapping import wrap
from tessera.train.watch.evaluation import Answers, EvaluationSpec
from tests.train import mono, tiny
from tests.train.pair_data import preference_recipe, write_pairs


def _factors(dropout: float) -> tuple[Rule, ...]:
    lora = LoRAConfig(rank=4, dropout=dropout)
    blocks = Rule(pattern=r"^decoder\.layers\..*proj", learning_rate=1e-2, lora=lora)
    return blocks, Rule(pattern=r"^connector\.", learning_rate=1e-3), Rule(pattern=".")


ASKED = EvaluationSpec(tasks=("clock", "count"), every=2, count=3, most_tokens=6)
MUON = OptimizerConfig(kind="muon", ema=0.9)
ROUTED = partial(tiny.model, family="nano_moe")
FULL: dict[str, Any] = {"rules": (tiny.ALL,), "optimizer": OptimizerConfig()}
VISUAL = FULL | {"model": mono.model, "drop_path": None}
CASES: dict[str, dict[str, Any]] = {
    "sharded": FULL,
    "sharded by token": FULL | {"averaging": "token"},
    "sharded by sample": FULL | {"averaging": "sample"},
    "sharded, Muon with a mean": FULL | {"optimizer": MUON},
    "sharded, recomputed": FULL | {"recompute": "blocks"},
    "sharded factors": FULL | {"rules": _factors(0.1)},
    "sharded factors on int8": FULL | {"rules": _factors(0.1), "linears": "int8"},
    "sharded in bfloat16": FULL | {"precision": "bfloat16"},
    "sharded experts": FULL | {"model": ROUTED},
    "sharded experts, recomputed": FULL | {"model": ROUTED, "recompute": "blocks"},
    "copies": FULL | {"parallel": Parallel(replicate=2, shard=1)},
    "tokens shared": FULL | {"parallel": Parallel(sequence=2)},
    "tokens shared, factors": FULL | {"parallel": Parallel(sequence=2), "rules": _factors(0.0)},
    "matrices shared": FULL | {"parallel": Parallel(tensor=2)},
    "experts, sharded": VISUAL,
    "experts, sharded factors": VISUAL | {"rules": _factors(0.0)},
    "experts, tokens shared": VISUAL | {"parallel": Parallel(sequence=2), "recompute": "blocks"},
    "experts, matrices shared": VISUAL | {"parallel": Parallel(tensor=2)},
}
"""Settings of `steps`."""


def packs(averaging: Any = "square") -> list[list[Pack]]:
    """Four steps: pictures beside text, text alone, a rank with a batch less, and one with none."""
    samples = tiny.samples(5, averaging)
    pictures, text, more = collate(samples[:1]), collate(samples[1:2]), collate(samples[2:])
    return [[pictures, text], [text, text], [text, pictures, more], [more]]


def steps(mesh: ProcessMesh, settings: dict[str, Any]) -> dict[str, torch.Tensor]:
    """Losses and norms of these steps, the held-out loss, and the weights behind them."""
    model = settings.get("model", tiny.model)()
    masters = Masters(settings.get("precision", "float32"))
    rules: Sequence[Rule] = settings["rules"]
    blocks = model.decoder.layers
    for path, module in list(blocks.named_modules()) if "linears" in settings else ():
        if isinstance(module, nn.Linear):
            bias = None if module.bias is None else module.bias.detach()
            replace_module(blocks, path, make_linear(settings["linears"], module.weight.detach(), bias))
    wrap(model, rules, 0, masters)
    parallelise(model, mesh, masters.around)
    set_drop_path(model, settings.get("drop_path", 0.5))
    for stack in (model.vision, model.decoder):
        stack.recompute = settings.get("recompute", "none")
    optimizer = Optimizer(assign(model, rules), settings["optimizer"], masters)
    told = []
    dealt = packs(settings.get("averaging", "square"))
    for number, batches in enumerate(dealt):
        step = Step(ConversationObjective(), model, tiny.CPU, mesh, most=3, seed=number)
        result = step.update(batches[mesh.data.rank :: mesh.data.world], optimizer, 1.0)
        told += [result.loss, result.gradient_norm, result.normaliser]
    model.eval()
    told.append(step.measure([batches[-1] for batches in dealt[:3]]))
    values = {name: value.contiguous() for name, value in whole(masters.exact(model))}
    return values | {"told": torch.tensor(told, dtype=torch.float64)}


def alone(case: str) -> dict[str, torch.Tensor]:
    """The same in one process."""
    return steps(ProcessMesh(), CASES[case])


def launch(folder: Path, *cases: str, ends_well: bool = True) -> str:
    """Two processes that take the cases in turn; what they said. Both end by themselves when one is lost.

    A case is a name of CASES, or a folder of a run with "FOLDER:STAGE STEP" to kill the second rank there.
    The store is here, as `torchrun` has it: its own start would take as long as that of a rank.
    """
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port), "WORLD_SIZE": "2"}
    shared |= {"TORCHELASTIC_USE_AGENT_STORE": "True", "OMP_NUM_THREADS": "1"}
    shared |= {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    command = [sys.executable, "-m", "tests.train.parallel.pair", str(folder), *cases]
    ranks = []
    for rank in ("0", "1"):
        env = {**os.environ, **shared, "RANK": rank, "LOCAL_RANK": rank}
        with (folder / f"said by {rank}").open("w") as said:
            ranks.append(subprocess.Popen(command, stdout=said, stderr=said, env=env))
    codes = [rank.wait() for rank in ranks]
    told = "".join((folder / f"said by {rank}").read_text() for rank in (0, 1))
    assert (codes == [0, 0]) == ends_well, told
    return told


def _two(case: str, folder: Path, ranks: Ranks) -> None:
    if case in PREFERENCES:
        mesh = arrange(PREFERENCES[case], ranks, tiny.CPU)
        found = preferences(mesh, folder / f"{case} {ranks.rank}")
    else:
        mesh = arrange(CASES[case].get("parallel", Parallel()), ranks, tiny.CPU)
        found = steps(mesh, CASES[case])
    if ranks.leads:
        save_file({name: value.clone() for name, value in found.items()}, folder / f"{case}.safetensors")


PREFERENCES = {"pairs, sharded": Parallel(), "pairs, copies": Parallel(replicate=2, shard=1)}


def preferences(mesh: ProcessMesh, folder: Path) -> dict[str, torch.Tensor]:
    """Pairs with a reference that is measured first; one process has in one pack what two have in two. Step
    two leaves the second rank without any."""
    objective = PreferenceObjective(quality=1.0, reference="cached")
    setup = set_up(preference_recipe(write_pairs(folder, 6), objective))
    model, masters, stage = setup.learner.model, Masters("float32"), setup.recipe.stages[0]
    encode = DrawEncoder(setup.sources[0], setup.learner.encoder)
    pairs = [encode.sample(Draw(0, index, 0, MixState(0, (0,)))) for index in range(6)]
    parallelise(model, mesh, masters.around)
    masters.hold(model)
    running = objective.begin(Beginning(stage, setup.learner, setup.sources[0], mesh, tiny.CPU))
    optimizer = Optimizer(assign(model, (tiny.ALL,)), OptimizerConfig(), masters)
    model.train()
    told = []
    for number, (first, second) in enumerate(
        ((pairs[:3], pairs[3:]), (pairs[:2], []), (pairs[3:], pairs[:1]))
    ):
        own = [first, second][mesh.data.rank] if mesh.data.world > 1 else first + second
        step = Step(running, model, tiny.CPU, mesh, most=1, seed=number)
        result = step.update([collate(own)] if own else [], optimizer, 1.0)
        told += [result.loss, result.gradient_norm, *result.figures.values()]
    values = {name: value.contiguous() for name, value in whole(masters.exact(model))}
    return values | {"told": torch.stack([x.double().cpu() for x in told])}


def contrasted(folder: Path, world: int) -> Trainer:
    """Pictures and texts of a pair, eight a step: whole in one process, in two halves in two. Half of the
    patches are hidden; then pairs of one caption share the target."""
    source = (PlaygroundSource(suites={"text": 1.0}, levels={1: 1.0}),)
    shared = {"steps": 2, "rules": (tiny.ALL,), "sources": source, "accumulate": world}
    contrast = PairContrastObjective(pictures=8 // world, masked=0.5)
    stages = (
        Stage(name="contrast", objective=contrast, **shared),
        Stage(name="retrieval", objective=PairRetrievalObjective(pictures=8 // world), **shared),
    )
    start = Start(family="nano_pair")
    recipe = Recipe(name="contrasted", stages=stages, start=start, precision="float32", best="no")
    return Trainer(set_up(recipe), folder)


def matrices() -> list[torch.Tensor]:
    """Some that two processes can't halve."""
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(rows, 6, generator=generator) for rows in (7, 1, 64, 3, 8)]


def _dealt(folder: Path, ranks: Ranks) -> None:
    """Sums of rows, which take whole matrices: which ones a process computed, and its parts of all."""
    mesh, computed = init_device_mesh("cpu", (ranks.world,)), list[int]()

    def compute(matrix: torch.Tensor) -> torch.Tensor:
        computed.append(len(matrix))
        return matrix.cumsum(0)

    parts = deal([distribute_tensor(matrix, mesh, [Shard(0)]) for matrix in matrices()], compute)
    found = {str(number): part.contiguous() for number, part in enumerate(parts)}
    save_file(found | {"computed": torch.tensor(computed)}, folder / f"dealt-{ranks.rank}.safetensors")


def trainer(folder: Path, **changes: Any) -> Trainer:
    """Of the tiny recipe for two ranks, from wherever it stands in the folder."""
    stages = tuple(stage.model_copy(update={"accumulate": 2}) for stage in tiny.recipe().stages)
    return Trainer(set_up(tiny.recipe(stages=stages, save_every=1, **changes)), folder)


def asked(folder: Path) -> Trainer:
    """A warm-up whose ViT is cached, then all that learns, with questions behind every second step."""
    shared = {"accumulate": 2, "evaluation": ASKED, "steps": 4, "drop_path": 0.0}
    warm_up, full = (stage.model_copy(update=shared) for stage in tiny.recipe().stages)
    warm_up = warm_up.model_copy(update={"cache_features": str(folder / "cache")})
    setup = set_up(tiny.recipe(stages=(warm_up, full)))
    answerer = Answerer(setup.learner, folder)

    def answer(spec: EvaluationSpec, model: Any) -> Answers:
        found = answerer(spec, model)
        model.see(torch.zeros(1, 32, 32, 3, dtype=torch.uint8))  # the last block is one of the ViT
        return found

    return Trainer(setup, folder, answer=answer)


def _tune(folder: Path, ranks: Ranks) -> None:
    """A fine-tune from the command line, with questions on the way."""
    if ranks.leads:
        main(["playground", str(folder / "clocks"), "--suite", "clock", "--count", "12"])
    totals([0.0], ranks)
    given = ["shipped", str(folder / "clocks/meta.json"), "--out", str(folder / "tune")]
    assert main(["tune", *given, "--stages.0.steps", "2", "--val", "0.2", "--ask", "1"]) == 0


def _run(folder: Path, kill: str | None) -> None:
    """To its end, or until the second rank is killed behind a step, "stage step"."""
    ranks = join()
    background = folder.name.startswith("background")
    made = asked(folder) if folder.name == "asked" else trainer(folder, save_in_background=background)
    run = made.run()
    with stop_on_signals(lambda: None, launched=True):  # as the command does: the launcher sends one
        for report in run:
            if ranks.rank == 1 and kill == f"{report.stage_index} {report.step}":
                os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    here = Path(sys.argv[1])
    for name in sys.argv[2:]:
        if name in CASES or name in PREFERENCES:
            _two(name, here, join())
        elif name in ("tune", "dealt"):
            (_tune if name == "tune" else _dealt)(here, join())
        elif name == "contrasted":
            list(contrasted(here / name, join().world).run())
        else:
            place, _, killed = name.partition(":")
            _run(here / place, killed)
