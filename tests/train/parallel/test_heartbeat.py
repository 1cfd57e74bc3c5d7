"""A rank that is alive but stuck is named with its step and samples, and every rank ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch.distributed as dist

from tessera.train.parallel.heartbeat import Beat, Heartbeat

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


def test_who_is_behind_and_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of ranks in one step those are named that don't wait for others; a block passed is progress."""
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    monkeypatch.setenv("TESSERA_STEP_PATIENCE", "7")
    heartbeat, named = Heartbeat(0, 3, lambda line: None), list[list[int]]()
    monkeypatch.setattr(heartbeat, "_end", lambda ranks, what: named.append(ranks))

    def look(*beats: Beat) -> list[list[int]]:
        named.clear()
        for count in range(9):
            heartbeat._judge({rank: replace(beat, count=count) for rank, beat in enumerate(beats)})
        return named[-1:]

    at = Beat(mark=3, ticks=5, watched=True)
    assert look(at, replace(at, waits=True), replace(at, mark=4)) == [[0]]
    assert look(replace(at, waits=True), replace(at, ticks=6), at) == [[2]]
    assert look(at, at, replace(at, watched=False)) == []
    look(at, at, at)
    heartbeat._judge({rank: replace(at, count=10 + rank, ticks=5 + rank) for rank in range(3)})
    assert heartbeat._still == 0


def test_what_took_long_once_may_take_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    store = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    monkeypatch.setenv("MASTER_ADDR", "127.0.0.1")
    monkeypatch.setenv("MASTER_PORT", str(store.port))
    heartbeat, now = Heartbeat(0, 2, lambda line: None), 0.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    limits = []
    for step in range(12):
        heartbeat.at(f"step {step}")
        now += 30.0 if step == 10 else 1.0
        heartbeat.tick()
        limits.append(heartbeat.limit)
    heartbeat.at("saving", watched=False)
    now += 1000.0
    heartbeat.at("step 13")
    assert limits == [600.0] * 8 + [40.0] * 2 + [120.0] * 2 and heartbeat.limit == 120.0
