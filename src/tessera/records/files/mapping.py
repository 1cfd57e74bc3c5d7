"""Settings files in JSON or YAML as plain objects; a key that stands twice is an error, no silent choice."""

import json
from collections.abc import Hashable
from pathlib import Path
from typing import Any

import yaml

from tessera.runtime.shown import shown

MOST_BYTES = 4 * 2**20
"""Largest settings file: YAML takes a second for each MiB."""
MOST_MERGED = 100_000
"""Most entries that the merge keys of a file may copy."""
LONGEST_NUMBER = 100
"""Characters of a plain value; Python's numbers take time quadratic in their length."""
EXAMPLE = '{"photos": {"root": "pictures", "annotation": "records.jsonl"}}'
_NAMES_FILES = f"a manifest names the files of records: {EXAMPLE}"
_RECORDS = (".jsonl", ".parquet", ".tar", ".csv", ".tsv")


def read_mapping(file: Path, what: str = "meta file", holds: str = _NAMES_FILES) -> dict[str, Any]:
    """The object in a `.json`, `.yaml` or `.yml` file; another ending is read as JSON.

    YAML's anchors, aliases and merge keys work; top keys that begin with `x-` only hold anchors and are left
    out. what, holds: what errors call the file, and what they say belongs into it. ValueError naming file,
    place and remedy.
    """
    name = f"{what} {shown(file)}"
    is_yaml = file.suffix.lower() in (".yaml", ".yml")
    kind = "YAML" if is_yaml else "JSON"
    data = _content(file, name, holds)
    try:
        # Some editors put a byte order mark in front.
        text = data.decode("utf-8-sig")
        value = yaml.load(text, Loader=_Strict) if is_yaml else json.loads(text, object_pairs_hook=_once)
    except RecursionError as error:
        raise ValueError(f"{name}: nested too deep, or an anchor that holds itself; write it flat") from error
    # SafeLoader passes what it can't make of `!!int ""` and its like on as these.
    except (json.JSONDecodeError, UnicodeDecodeError, yaml.YAMLError, LookupError, AttributeError) as error:
        hint = _hint(data, what, holds)
        raise ValueError(f"{name}: not {kind} in UTF-8: {_where(error)}; {hint}") from error
    except ValueError as error:
        raise ValueError(f"{name}: {shown(error)}; correct the {what}") from error
    entries = value if isinstance(value, dict) else {}
    found = {key: entry for key, entry in entries.items() if not (is_yaml and str(key).startswith("x-"))}
    if not found or "conversations" in found or "messages" in found:
        records = isinstance(value, list) or bool(found)
        told = "it holds records; " if records else ""
        raise ValueError(f"{name}: expected an object; {told}{holds}")
    for key in found:
        # YAML reads `2024:` as a number and `yes:` as a truth value.
        if not isinstance(key, str):
            raise ValueError(f"{name}: the name {shown(key)} is not text; put it in quotes")
    return found


def _content(file: Path, name: str, holds: str) -> bytes:
    """The bytes of the file. ValueError for what can be no manifest, before it is read."""
    if file.is_dir():
        raise ValueError(f"{name}: is a folder; {holds}")
    if not file.is_file():
        raise ValueError(f"{name}: no such file; check the path")
    if file.suffix.lower() in _RECORDS:
        raise ValueError(f"{name}: holds records; {holds}")
    try:
        if file.stat().st_size > MOST_BYTES:
            raise ValueError(f"{name}: more than {MOST_BYTES} bytes; is it the annotation itself?")
        return file.read_bytes()
    except OSError as error:
        raise ValueError(f"{name}: {error.strerror}; correct path or access") from error


def _where(error: Exception) -> str:
    """A parser's words in one line."""
    if isinstance(error, LookupError | AttributeError):
        return "a value that its tag can't be made of"
    return shown(" ".join(str(error).split()), bare=True)


def _hint(data: bytes, what: str, holds: str) -> str:
    """What to do about a file that can't be parsed."""
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[:64].count(b"\0") > 16:
        return "it is UTF-16: save it as UTF-8"
    lines = [line for line in data.split(b"\n", 2)[:2] if line.strip()]
    if len(lines) == 2 and all(
        line.strip().startswith(b"{") and line.strip().endswith(b"}") for line in lines
    ):
        return f"it holds records, an object a line; {holds}"
    return f"correct the {what}"


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """A JSON object whose keys stand once."""
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {shown(key)} stands twice in one object")
        found[key] = value
    return found


class _Strict(yaml.SafeLoader):
    """YAML's plain values only, with keys that stand once; merged keys may be overruled."""

    merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Put the entries of merged anchors in place. ValueError when they are too many.

        Anchors that merge each other several times would double with every line.
        """
        for key_node, value in node.value:
            anchors = value.value if isinstance(value, yaml.SequenceNode) else [value]
            if key_node.tag == "tag:yaml.org,2002:merge" and len(anchors) > 100:
                raise ValueError(
                    f"line {key_node.start_mark.line + 1} merges {len(anchors)} anchors, limit 100"
                )
        before = len(node.value)
        super().flatten_mapping(node)
        self.merged += max(0, len(node.value) - before)
        if self.merged > MOST_MERGED:
            raise ValueError(
                f"line {node.start_mark.line + 1}: merge keys copy more than {MOST_MERGED} entries"
            )

    def construct_scalar(self, node: yaml.Node) -> Any:
        """The text of a plain value. ValueError for a number that is longer than any."""
        text = super().construct_scalar(node)
        if len(text) > LONGEST_NUMBER and node.tag in _NUMBERS:
            raise ValueError(f"{shown(text)} in line {node.start_mark.line + 1} is no number of a setting")
        return text

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """The mapping of a node. ValueError for a key that stands twice."""
        seen: set[object] = set()
        for key_node, _ in node.value:
            # `<<` may stand several times, once for each anchor.
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, Hashable) and key in seen:
                line = key_node.start_mark.line + 1
                raise ValueError(f"key {shown(key)} stands twice, again in line {line}")
            if isinstance(key, Hashable):
                seen.add(key)
        return dict(super().construct_mapping(node, deep))


_NUMBERS = tuple(f"tag:yaml.org,2002:{kind}" for kind in ("int", "float", "timestamp", "bool"))
