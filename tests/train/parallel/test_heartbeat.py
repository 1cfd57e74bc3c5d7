"""A rank that is alive but stuck is named with its step and samples, and every rank ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys

import torch.distributed as dist

SCRIPT = """
import os, sys, time
from tessera.train.parallel.heartbeat import Heartbeat
rank = int(sys.argv[1])
heartbeat = Heartbeat(rank, 2, lambda line: os.write(2, line.encode()))
heartbeat.start()
for step in range(3):
    heartbeat.at(f"stage 'a', step {step}, samples s{step}")
    time.sleep(0.1)
if rank == 0:
    heartbeat.at("stage 'a', step 3, samples s3")
time.sleep(60)
"""


def test_a_rank_that_gets_no_further_is_named_with_step_and_samples() -> None:
    """A loader that hangs let all others wait for ever: its threads gave signs of life."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(store.port)}
    settings = address | {"TESSERA_PATIENCE": "7", "TESSERA_STEP_PATIENCE": "7"}
    env = os.environ | settings | {"PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", SCRIPT, str(rank)], stderr=subprocess.PIPE, text=True, env=env
        )
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=50)[1] for rank in ranks]
    told = r"rank 1 \(process \d+ on .*\), last seen at stage 'a', step 2, samples s2, got no further for 7 s"
    assert any(re.search(told, line) for line in said), said
    assert not any("rank 0 (" in line for line in said)
    assert all(rank.returncode for rank in ranks)
