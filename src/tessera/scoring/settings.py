"""What a declaration may say of a scorer: settings are checked when it is made, not at the first answer."""

from collections.abc import Iterable, Mapping


def one_of(name: str, value: object, allowed: Iterable[str]) -> str:
    """The value; ValueError with what is allowed for any other."""
    names = list(allowed)
    if not isinstance(value, str) or value not in names:
        raise ValueError(f"{name} is {value!r:.80}: give one of {', '.join(names)}")
    return value


def number(name: str, value: object, least: float, most: float) -> float:
    """The value as a number between two bounds; ValueError for any other."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise ValueError(f"{name} is {value!r:.80}: give a number from {least:g} to {most:g}")
    return float(value)


def flag(name: str, value: object) -> bool:
    """The value if it is true or false; ValueError for any other."""
    if not isinstance(value, bool):
        raise ValueError(f"{name} is {value!r:.80}: give true or false")
    return value


def names(name: str, value: object) -> tuple[str, ...]:
    """One name or a list of them; ValueError for anything else."""
    listed = (value,) if isinstance(value, str) else value
    if not isinstance(listed, list | tuple) or not all(isinstance(entry, str) and entry for entry in listed):
        raise ValueError(f"{name} is {value!r:.80}: give a name or a list of names")
    return tuple(listed)


def grouping(name: str, value: object) -> dict[str, tuple[str, ...]]:
    """A mapping of names to a value or several, all as text; ValueError for anything else."""
    if not isinstance(value, Mapping):
        raise ValueError(f"{name} is {value!r:.80}: give names with lists of values")
    found = {}
    for key, entry in value.items():
        listed = entry if isinstance(entry, list | tuple) else (entry,)
        if not listed or not all(isinstance(one, str | int | float) for one in listed):
            raise ValueError(f"{name}.{key!s:.40} is {entry!r:.80}: give a value or a list of values")
        found[str(key)] = tuple(map(str, listed))
    return found
