"""A recipe as the Python file that makes it: what a run chose, to be read and edited."""

from typing import Any

from tessera.runtime.config import Config
from tessera.train.recipe import Recipe

WIDTH = 88
"""Characters up to which a value stands in one line."""


def written(recipe: Recipe, card: str) -> str:
    """A file with a function `recipe()` that returns an equal recipe; fields that have their default are left
    out. `card` is its docstring.
    """
    classes: set[type] = set()
    body = _expression(recipe, classes, 4)
    modules = sorted({c.__module__ for c in classes})
    names = {m: ", ".join(sorted(c.__name__ for c in classes if c.__module__ == m)) for m in modules}
    lines = "".join(f"from {module} import {names[module]}\n" for module in modules)
    head = f'"""{card.strip()}\n"""\n\n{lines}\n\n'
    return f'{head}def recipe() -> Recipe:\n    """Every field may be changed."""\n    return {body}\n'


def _expression(value: Any, classes: set[type], indent: int) -> str:
    """Python for a plain value or for settings made of them, in one line if it fits."""
    if isinstance(value, Config):
        classes.add(type(value))
        given = {
            name: getattr(value, name)
            for name, field in type(value).model_fields.items()
            if getattr(value, name) != field.get_default(call_default_factory=True)
        }
        parts = [f"{name}={_expression(inner, classes, indent + 4)}" for name, inner in given.items()]
        return _wrapped(f"{type(value).__name__}(", parts, ")", indent)
    if isinstance(value, tuple):
        parts = [_expression(inner, classes, indent + 4) for inner in value]
        return _wrapped("(", parts, ",)" if len(parts) == 1 else ")", indent)
    if isinstance(value, dict):
        parts = [f"{key!r}: {_expression(inner, classes, indent + 4)}" for key, inner in value.items()]
        return _wrapped("{", parts, "}", indent)
    if value is None or isinstance(value, bool | int | float | str):
        return repr(value)
    return repr(str(value))  # a path


def _wrapped(opening: str, parts: list[str], closing: str, indent: int) -> str:
    line = f"{opening}{', '.join(parts)}{closing}"
    if len(line) + indent <= WIDTH and "\n" not in line:
        return line
    inner = "".join(f"{' ' * (indent + 4)}{part},\n" for part in parts)
    return f"{opening}\n{inner}{' ' * indent}{closing.removeprefix(',')}"
