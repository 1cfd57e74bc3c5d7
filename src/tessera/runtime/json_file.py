"""Configuration files as JSON objects, with errors that name the file."""

import json
from pathlib import Path
from typing import Any


def read_object(path: Path) -> dict[str, Any]:
    """The JSON object in a file; ValueError when it is something else."""
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON ({error}): fetch it again") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds a {type(value).__name__}, not a JSON object: fetch it again")
    return value


def require(config: dict[str, Any], key: str, where: str) -> Any:
    """A value that has no default; ValueError naming file and key."""
    if key not in config:
        raise ValueError(f"{where}: {key!r} is missing; fetch the config again")
    return config[key]


def write_json(path: Path, content: dict[str, Any]) -> None:
    """One JSON object, readable."""
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
