"""Kill a short run at random moments, start it again, and compare it with one that was left alone.

    python -m tests.train.kill_campaign [KILLS] [SEED]

Half of the kills come after a random time, half at a random operation on files, most of them of saving. Every
run is killed up to three times in a row. The last line printed is one JSON object.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from tessera.train.loop import Trainer
from tessera.train.setup import set_up
from tessera.train.watch.journal import read_reports
from tests.train import tiny

FILE_EVENTS = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "shutil.rmtree", "os.truncate"}


def train(folder: Path, kill_at: int | None = None, count_into: Path | None = None) -> None:
    """Run to the end; SIGKILL to this process at a file operation of that number."""
    seen = 0

    def watch(event: str, _: object) -> None:
        nonlocal seen
        if event in FILE_EVENTS:
            seen += 1
            if seen == kill_at:
                os.kill(os.getpid(), signal.SIGKILL)

    trainer = Trainer(set_up(tiny.recipe(save_every=1)), folder)
    sys.addaudithook(watch)
    for _ in trainer.run():
        pass
    if count_into is not None:
        count_into.write_text(str(seen))


def forked(work: Callable[[], None], seconds: float | None = None) -> bool:
    """Work in a child, killed after some seconds; whether it ended by itself."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    if seconds is not None:
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status) and os.WEXITSTATUS(status):
        raise AssertionError("the run failed")
    return os.WIFEXITED(status)


def facts(folder: Path) -> list[dict[str, object]]:
    """Telemetry without times."""
    reports = [vars(report) for report in read_reports(folder)]
    return [{k: v for k, v in report.items() if k not in ("seconds", "wait")} for report in reports]


def weights(folder: Path) -> dict[str, bytes]:
    """The files of the models that the run made."""
    return {file.parent.name: file.read_bytes() for file in folder.glob("*_*/model.safetensors")}


def main(kills: int = 20, seed: int = 0) -> int:
    """The campaign; 0 when every run equals the undisturbed one."""
    rng, top = random.Random(seed), Path(tempfile.mkdtemp())
    began = time.monotonic()
    forked(lambda: train(top / "whole", count_into=top / "events"))
    seconds, events = time.monotonic() - began, int((top / "events").read_text())
    expected, made = facts(top / "whole"), weights(top / "whole")
    done = {
        "kills": 0,
        "by_time": 0,
        "while_saving": 0,
        "runs": 0,
        "equal": 0,
        "events": events,
        "seed": seed,
    }
    while done["kills"] < kills:
        folder = top / f"run{done['runs']}"
        for _ in range(min(rng.randint(1, 3), kills - done["kills"])):
            by_time = rng.random() < 0.5
            number, moment = rng.randint(1, events), rng.uniform(0, seconds)
            if by_time:
                ended = forked(lambda: train(folder), moment)  # noqa: B023
            else:
                ended = forked(lambda: train(folder, number))  # noqa: B023
            if ended:
                break
            done["kills"] += 1
            done["by_time"] += by_time
            done["while_saving"] += any(True for _ in folder.rglob(".*.unfinished"))
        forked(lambda: train(folder))  # noqa: B023
        done["runs"] += 1
        done["equal"] += facts(folder) == expected and weights(folder) == made
    print(json.dumps(done))
    return int(done["equal"] < done["runs"])


if __name__ == "__main__":
    sys.exit(main(*map(int, sys.argv[1:])))
