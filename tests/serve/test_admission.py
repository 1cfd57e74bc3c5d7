"""Who may come in: counts for all and for each owner, amounts in order of arrival, keys."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tessera.serve.admission import Gate, Stock
from tessera.serve.faults import ApiFault
from tessera.serve.http.keys import ApiKeys, read_keys
from tessera.serve.pool import WorkPool
from tessera.serve.settings import ServeLimits, ServeSettings


def test_the_gate_counts_for_all_and_for_each() -> None:
    gate = Gate(3, 2)
    with gate.enter("a"), gate.enter("a"):
        with pytest.raises(ApiFault, match="requests_per_key") as caught:
            gate.enter("a").__enter__()
        assert (caught.value.status, caught.value.code) == (429, "queue_full") and caught.value.headers
        with gate.enter("b"), pytest.raises(ApiFault, match="limits.requests") as caught:
            gate.enter("c").__enter__()
        assert caught.value.code == "server_full"
        gate.closed = True
        with pytest.raises(ApiFault) as caught:
            gate.enter("d").__enter__()
        assert (caught.value.status, caught.value.code) == (503, "draining")
    assert gate.count == 0 and not gate.inside


@settings(max_examples=60, deadline=None, derandomize=True)
@given(
    st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(0, 3), st.booleans()), max_size=12)
)
def test_the_stock_is_never_overdrawn_and_everybody_comes_in(
    wishes: list[tuple[int, int, int, bool]],
) -> None:
    """Also when some give up while they wait: nothing is lost, the order is that of arrival."""
    stock = Stock(tokens=5, tiles=5)
    begun: list[int] = []

    async def one(number: int, tokens: int, tiles: int, turns: int) -> None:
        async with stock.hold(tokens=tokens, tiles=tiles):
            begun.append(number)
            assert stock.out["tokens"] <= 5 and stock.out["tiles"] <= 5
            for _ in range(turns):
                await asyncio.sleep(0)

    async def all_of_them() -> None:
        tasks = [asyncio.ensure_future(one(n, *wish[:3])) for n, wish in enumerate(wishes)]
        await asyncio.sleep(0)
        for task, wish in zip(tasks, wishes, strict=True):
            if wish[3]:
                task.cancel()
        await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)

    asyncio.run(all_of_them())
    assert begun == sorted(begun)
    assert set(begun) >= {number for number, wish in enumerate(wishes) if not wish[3]}
    assert stock.out == {"tokens": 0, "tiles": 0} and stock.waiting == 0


def test_a_wish_that_can_never_be_met_is_refused() -> None:
    async def wish() -> None:
        async with Stock(tokens=5).hold(tokens=6):
            pass

    with pytest.raises(ValueError, match="more than there is"):
        asyncio.run(wish())
    with pytest.raises(ValueError, match="total_tiles = 4 is below tiles = 5"):
        ServeLimits(tiles=5, total_tiles=4)


def test_work_that_has_begun_is_waited_for() -> None:
    """Its memory and its files must not be given to others before."""
    import threading

    begun, go_on = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert go_on.wait(60)

    async def leave() -> tuple[bool, bool]:
        pool = WorkPool(1, "test")
        task = asyncio.ensure_future(pool.run(work))
        behind = asyncio.ensure_future(pool.run(work))
        await asyncio.get_running_loop().run_in_executor(None, begun.wait)
        task.cancel()
        behind.cancel()
        await asyncio.wait((behind,), timeout=60)
        waited = not task.done()
        go_on.set()
        await asyncio.wait((task,), timeout=60)
        pool.close()
        return waited, task.cancelled() and behind.cancelled()

    assert asyncio.run(leave()) == (True, True)


def test_keys(tmp_path: Path) -> None:
    keys = ApiKeys(["first-key", "second-key"])
    assert keys.owner("Bearer second-key", "1.2.3.4") == "key 2" == keys.owner("bearer  second-key ", "x")
    for header in ("", "Bearer", "Bearer wrong-key", "Basic first-key", "first-key", "Bearer fïrst-\ud800"):
        with pytest.raises(ApiFault) as caught:
            keys.owner(header, "1.2.3.4")
        assert (caught.value.status, caught.value.code) == (401, "invalid_api_key")
        assert "first" not in caught.value.message
    assert ApiKeys([]).owner("", "1.2.3.4") == "1.2.3.4", "without keys everybody has an address"
    (file := tmp_path / "keys").write_text("# ours\nfirst-key\n\n second-key \n")
    assert read_keys(file) == ("first-key", "second-key")
    file.write_text("# none\n")
    with pytest.raises(ValueError, match="holds no key"):
        read_keys(file)
    for bad in ("short", "with space", "größtenteils"):
        with pytest.raises(ValueError, match="less than 8 characters, spaces or other than ASCII"):
            ServeSettings(name="x", keys=(bad,))
