"""Settings files in JSON or YAML as plain objects; a key that stands twice is an error, no silent choice."""

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

MOST_BYTES = 64 * 2**20
"""Largest settings file."""


def read_mapping(file: Path) -> dict[str, Any]:
    """The object in a `.json`, `.yaml` or `.yml` file; another ending is read as JSON.

    YAML's anchors, aliases and merge keys work; top keys that begin with `x-` only hold anchors and are left
    out. ValueError naming file, place and remedy.
    """
    if not file.is_file():
        raise ValueError(f"meta file {file}: no such file; check the path")
    if file.stat().st_size > MOST_BYTES:
        raise ValueError(f"meta file {file}: more than {MOST_BYTES} bytes; is it the annotation itself?")
    is_yaml = file.suffix.lower() in (".yaml", ".yml")
    kind = "YAML" if is_yaml else "JSON"
    try:
        # Some editors put a byte order mark in front.
        text = file.read_bytes().decode("utf-8-sig")
        value = yaml.load(text, Loader=_Strict) if is_yaml else json.loads(text, object_pairs_hook=_once)
    except (json.JSONDecodeError, UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"meta file {file}: not {kind} in UTF-8: {error}; correct the meta file") from error
    except ValueError as error:
        raise ValueError(f"meta file {file}: {error}; correct the meta file") from error
    entries = value if isinstance(value, dict) else {}
    found = {key: entry for key, entry in entries.items() if not (is_yaml and str(key).startswith("x-"))}
    if not found:
        raise ValueError(f"meta file {file}: expected an object of dataset name -> entry")
    for key in found:
        # YAML reads `2024:` as a number and `yes:` as a truth value.
        if not isinstance(key, str):
            raise ValueError(f"meta file {file}: the name {key!r} is not text; put it in quotes")
    return found


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys stand once."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key!r} stands twice in one object")
        found[key] = value
    return found


class _Strict(yaml.SafeLoader):
    """YAML's plain values only, with keys that stand once; merged keys may be overruled."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of a node. ValueError for a key that stands twice."""
        seen: set[object] = set()
        for key_node, _ in node.value:
            # `<<` may stand several times, once for each anchor.
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                raise ValueError(f"key {key!r} stands twice, again in line {key_node.start_mark.line + 1}")
            if isinstance(key, Hashable):
                seen.add(key)
        return dict(super().construct_mapping(node, deep))
