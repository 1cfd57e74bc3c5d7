"""Private operators of PyTorch stand in `nn/**/cpu.py` and `nn/**/cpu/` alone: a release may change them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src" / "tessera"


def private_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """(line, dotted name) of all below `torch.ops`, of `torch._something`, and of imports from there."""
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Attribute):
            names = [ast.unparse(node)]
        elif isinstance(node, ast.ImportFrom):
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        for name in names:
            parts = name.split(".")
            below = any(part.startswith("_") and not part.startswith("__") for part in parts[1:])
            if parts[0] == "torch" and (below or parts[1:2] == ["ops"]):
                yield node.lineno, name


WITHOUT_NUMBERS = "train/plan/live.py"
"""Tensors without numbers, and a look at every operator, have no public door in PyTorch."""


def may_be_private(path: Path) -> bool:
    if path == SOURCE / WITHOUT_NUMBERS:
        return True
    parts = path.relative_to(SOURCE).with_suffix("").parts
    return parts[0] == "nn" and "cpu" in parts


def test_private_operators_stand_in_one_place() -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line} {name}"
        for path in sorted(SOURCE.rglob("*.py"))
        if not may_be_private(path)
        for line, name in private_names(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not found, "private to PyTorch; put it behind nn/cpu/ or nn/attention/cpu:\n" + "\n".join(found)


def test_the_check_sees_them() -> None:
    hidden = (
        "import torch\nfrom torch import ops, _C\nimport torch._dynamo\nfrom torch.ops import mkldnn\n"
        "def f(x):\n    torch.ops.aten.relu(x)\n    torch._weight_int8pack_mm(x, x, x)\n    torch.relu(x)\n"
    )
    assert {line for line, _ in private_names(ast.parse(hidden))} == {2, 3, 4, 6, 7}
    assert may_be_private(SOURCE / "nn" / "attention" / "cpu" / "short.py")
    assert may_be_private(SOURCE / "nn" / "cpu.py") and not may_be_private(SOURCE / "nn" / "norm.py")
