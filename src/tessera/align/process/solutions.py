"""Lines of a file of responses as solutions in steps, and what is refused, with the reason."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

from tessera.align.preferences.lines import open_lines
from tessera.align.preferences.response import SampledResponse, read_response
from tessera.align.process.steps import SolutionStep, split_steps
from tessera.chat.message import IMAGE_MARK
from tessera.records.faults import DataError
from tessera.records.files.places import OutsideRoot, inside
from tessera.runtime.shown import shown

EMPTY, PICTURE = "an empty response", "a picture that is not there"
MARKS = "other marks than pictures"
ADDRESSES = ("data:", "http:", "https:")


@dataclass(frozen=True)
class Solution:
    """A response in steps. `name`: the same wherever it stands in a file, and no other's."""

    name: str
    response: SampledResponse
    steps: tuple[SolutionStep, ...]


@dataclass(frozen=True)
class RefusedSolution:
    """Where a response stands that isn't used, why, in words that many share, and the details."""

    line: int
    why: str
    detail: str = ""


Refuse = Callable[[RefusedSolution], object]


class Solutions:
    """Solutions of a file. media: folder of their pictures; most: steps of each.

    version: of lines that name no prompt_version. ValueError for a file without lines.
    """

    def __init__(self, file: Path, media: Path, most: int, version: str | None = None) -> None:
        self._lines, self._media, self._most, self._version = open_lines(file), media, most, version

    def __len__(self) -> int:
        return len(self._lines)

    def read(self, refuse: Refuse) -> Iterator[Solution]:
        """All of them from the first on; `refuse` hears of the lines that are none."""
        seen: Counter[str] = Counter()
        for index in range(len(self._lines)):
            line, file = self._lines.line(index), Path(self._lines.file)
            try:
                response = read_response(self._lines.record(index), file, line, self._version)
            except DataError as error:
                fault = error.faults[0]
                refuse(RefusedSolution(line, f"{fault.field}: {fault.reason}", str(fault)))
                continue
            if refused := self._refused(response):
                refuse(refused)
                continue
            yield Solution(_named(response, seen), response, split_steps(response.text, self._most))

    def _refused(self, response: SampledResponse) -> RefusedSolution | None:
        pictures, marks = response.pictures, response.prompt.count(IMAGE_MARK)
        if not response.text.strip():
            return RefusedSolution(response.line, EMPTY)
        if marks not in (0, 1, len(pictures)) or (marks and not pictures):
            return RefusedSolution(response.line, MARKS, f"{marks} {IMAGE_MARK}, {len(pictures)} pictures")
        missing = next((path for path in pictures if not self._is_there(path)), None)
        return None if missing is None else RefusedSolution(response.line, PICTURE, shown(missing))

    def _is_there(self, picture: str) -> bool:
        if picture.startswith(ADDRESSES):
            return True
        try:
            return Path(inside(self._media, picture)).is_file()
        except OutsideRoot:
            return False


def _named(response: SampledResponse, seen: Counter[str]) -> str:
    """A digest of question and response, and a number where the same stood before."""
    text = repr((response.key, response.version, response.text)).encode("utf-8", "surrogatepass")
    digest = blake2b(text, digest_size=12).hexdigest()
    seen[digest] += 1
    return digest if seen[digest] == 1 else f"{digest}.{seen[digest]}"
