"""Our own kernels against products in float64; without a library that can be trusted, PyTorch's way."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from tessera.nn.cpu import building, native, routes
from tessera.nn.cpu.building import NoLibrary
from tessera.nn.cpu.native import KINDS, Kind, Streamed, dense, drawn, multiply
from tessera.nn.linear import LinearKind, PackedLinear, make_linear

LINEARS: dict[Kind, LinearKind] = {"bfloat16": "packed", "int8": "int8", "int4": "int4"}


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """Nothing that a test made is remembered."""
    yield
    for known in (building.load, native.library, native.why_not, routes._is_faster):
        known.cache_clear()


@pytest.fixture
def compiled() -> None:
    """Skips where there is no compiler."""
    if reason := native.why_not():
        pytest.skip(reason)


def rows(count: int, inner: int, seed: int = 1) -> torch.Tensor:
    return torch.randn(count, inner, generator=torch.Generator().manual_seed(seed)).bfloat16()


def weights(kind: Kind, outs: int, inner: int) -> Streamed:
    return drawn(kind, outs, inner, torch.Generator().manual_seed(2))


def relative(got: torch.Tensor, wanted: torch.Tensor) -> float:
    return float((got.double() - wanted.double()).norm() / wanted.double().norm())


def use_source(code: str, monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Another library, in another cache; skips where there is no compiler."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (folder / "sources").mkdir()
    (folder / "sources" / "trial.c").write_text(code)
    monkeypatch.setattr(building, "SOURCES", folder / "sources")
    monkeypatch.setenv("TESSERA_CACHE", str(folder / "cache"))


def never(given: Streamed) -> routes.Product:
    raise AssertionError("nothing is measured here")


def check(kind: Kind) -> None:
    """Whole and broken tiles of rows and of outputs, with and without a bias."""
    sizes = ((1, 8, 128), (2, 4, 384), (3, 33, 128), (5, 6, 256), (17, 31, 896), (1, 5, 8320))
    for count, outs, inner in sizes:
        given, x = weights(kind, outs, inner), rows(count, inner)
        bias = rows(1, outs, 3)[0] * 9
        exact = x.double() @ dense(given).T
        assert relative(multiply(x, given), exact) < 3e-3  # one rounding to bfloat16
        assert relative(multiply(x, given._replace(bias=bias)), exact + bias.double()) < 3e-3


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("kind", KINDS)
def test_products_are_exact_but_for_one_rounding(kind: Kind) -> None:
    check(kind)


@pytest.mark.parametrize("kind", KINDS)
def test_what_any_machine_computes(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """The same sources for a processor that has no instruction of bfloat16."""
    monkeypatch.setattr(building, "FOR_THIS_MACHINE", ((),))
    monkeypatch.setattr(building, "FLAGS", (*building.FLAGS, "-O1"))
    monkeypatch.setenv("TESSERA_CACHE", str(tmp_path_factory.getbasetemp() / "any machine"))
    if reason := native.why_not():
        pytest.skip(reason)
    check(kind)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("kind", KINDS)
def test_a_row_does_not_depend_on_its_neighbours_or_on_threads(kind: Kind) -> None:
    given, x = weights(kind, 515, 1024), rows(9, 1024)
    together = multiply(x, given)
    for first in range(9):
        for last in (first + 1, 9):
            assert torch.equal(multiply(x[first:last], given), together[first:last])
    torch.set_num_threads(2)
    try:
        assert torch.equal(multiply(x, given), together)
    finally:
        torch.set_num_threads(1)


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("inner", [32, 96, 160, 1056])
def test_one_row_of_int8_ends_anywhere(inner: int) -> None:
    """It goes another way than several, by 128 numbers and then 32."""
    given, x = weights("int8", 7, inner), rows(2, inner)
    assert torch.equal(multiply(x[:1], given), multiply(x, given)[:1])
    assert relative(multiply(x[1:], given), x[1:].double() @ dense(given).T) < 3e-3


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_stays_so(value: float) -> None:
    for kind in KINDS:
        x = rows(2, 128)
        x[1, 5] = value
        given = weights(kind, 8, 128)
        got = multiply(x, given)
        assert got[0].isfinite().all() and not got[1].isfinite().any()


@pytest.mark.usefixtures("compiled")
@pytest.mark.parametrize("kind", KINDS)
def test_layers_take_the_kernel_in_inference_alone(
    kind: Kind, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Packed before, the plain weight comes back; what needs gradients or is float32 goes PyTorch's way."""
    # What another test measured on a busy machine stands on the disk and would decide.
    monkeypatch.setattr(routes, "own_folder", lambda: tmp_path)
    monkeypatch.setattr(routes, "measure", lambda *_: 0.1)
    taken: list[int] = []
    for module in ("linear", "quantised"):
        monkeypatch.setattr(
            f"tessera.nn.{module}.multiply", lambda *a, **b: taken.append(1) or multiply(*a, **b)
        )
    weight, bias = rows(512, 512), rows(1, 512, 4)[0]
    layer, x = make_linear(LINEARS[kind], weight, bias), rows(3, 512)
    with torch.no_grad():
        before = [layer(x) for _ in range(3)]
    assert not taken
    with torch.inference_mode():
        few = layer(x[None])
        assert len(taken) == 1 and few.shape == (1, 3, 512)
        assert relative(few[0], before[0]) < 0.01
        assert relative(layer(rows(200, 512)), F.linear(rows(200, 512), weight, bias)) < 0.2
        assert layer.float()(x.float()).dtype == torch.float32
    assert len(taken) == 1
    if isinstance(layer, PackedLinear):
        assert torch.equal(layer.weight, weight.float())


def test_a_measurement_is_made_once_and_decides(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("TESSERA_CACHE", str(tmp_path))
    if reason := native.why_not():
        pytest.skip(reason)
    asked: list[tuple[Kind, int]] = []

    def measure(kind: Kind, count: int, other: routes.MakeProduct) -> float:
        asked.append((kind, count))
        return 0.5 if count == 4 else 1.5

    monkeypatch.setattr(routes, "measure", measure)
    other = never
    with torch.inference_mode():
        for _ in range(2):
            assert routes.takes_native("int8", rows(3, 1024), 1024, other)
            assert not routes.takes_native("int8", rows(9, 1024), 1024, other)
            routes._is_faster.cache_clear()
        assert asked == [("int8", 4), ("int8", 16)]
        (file,) = (tmp_path / "native").glob("*.json")
        file.write_text('{"int8 4": "fast"')
        assert routes.takes_native("int8", rows(3, 1024), 1024, other)
        assert asked[2:] == [("int8", 4)]
        caplog.set_level("INFO", "tessera")
        assert not routes.takes_native("bfloat16", rows(3, 1024), 1024, other)  # one form for all rows
    assert caplog.messages == ["bfloat16 weights, 1, 4, 16, 64 rows: PyTorch (ours in 1.14 of its time)"]


@pytest.mark.usefixtures("compiled")
def test_measuring_both_ways() -> None:
    with torch.inference_mode():
        share = routes.measure("int4", 1, lambda given: lambda x: multiply(x, given))
    assert 0.02 < share < 50  # the same way twice, on whatever machine


def test_a_library_that_dies_is_never_loaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A virtual machine named features that it trapped; the trial dies of them in its own process."""
    use_source("int tessera_trial(void) { __builtin_trap(); }", monkeypatch, tmp_path)
    with pytest.raises(NoLibrary, match="failed their trial with -"):
        building.build()
    assert not list((tmp_path / "cache" / "native").iterdir())


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [("CC", "no-compiler", "no C compiler"), ("TESSERA_NATIVE", "0", "is 0")],
)
def test_without_a_library(
    name: str,
    value: str,
    reason: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv(name, value)
    assert reason in native.why_not()
    caplog.set_level("INFO", "tessera")
    weight, x = rows(512, 512), rows(3, 512)
    with torch.inference_mode():
        assert relative(make_linear("packed", weight, None)(x), F.linear(x, weight)) < 5e-3
    (told,) = caplog.messages
    assert told.startswith("bfloat16 weights, few rows: PyTorch (") and reason in told


def test_a_source_that_does_not_compile(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    use_source("int tessera_trial(void) { return nothing; }", monkeypatch, tmp_path)
    with pytest.raises(NoLibrary, match="cc failed: .*nothing"):
        building.build()


def test_a_folder_that_others_may_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TESSERA_CACHE", str(tmp_path))
    (tmp_path / "native").mkdir()
    (tmp_path / "native").chmod(0o777)
    with pytest.raises(NoLibrary, match="may be written by others"):
        building.own_folder()
