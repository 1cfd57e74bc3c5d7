"""`tessera quantize SRC DST`: a checkpoint in few bits, and how far its answers are from before."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import tyro

import tessera
from tessera.chat.message import Conversation
from tessera.checkpoints.adapter import find_with_adapter
from tessera.checkpoints.quantised.form import FewBits
from tessera.checkpoints.quantised.writing import QuantisedCheckpoint, quantise_checkpoint
from tessera.checkpoints.save import require_new
from tessera.checkpoints.shipped import shipped_folder
from tessera.cli.command import ReportingCommand
from tessera.cli.convert import short
from tessera.curation.report.seen import choose_records
from tessera.engine.chat_model import ChatModel
from tessera.evaluation.drift import Drift, DriftQuestion, measure_drift, playground_questions
from tessera.evaluation.drift_page import drift_page
from tessera.pages.page import write_page
from tessera.records.manifest import read_meta
from tessera.records.open import open_sources
from tessera.runtime.json_file import write_json
from tessera.runtime.progress import progress_bars
from tessera.runtime.shown import counted, shown

JSON_FILE, PAGE_FILE = "accuracy.json", "accuracy.html"
KINDS: Mapping[int, FewBits] = {8: "int8", 4: "int4"}


@dataclass(frozen=True, kw_only=True)
class QuantizeCommand(ReportingCommand):
    """Write a checkpoint whose blocks take 8 or 4 bits a weight; measure what that does to its answers."""

    source: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="SRC")]
    """Folder of the checkpoint, a model's name, or "shipped"."""
    target: Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="DST")]
    """Folder to write; it must not be there yet, or be empty."""
    bits: Literal[8, 4] = 8
    """8: a scale for each row. 4: NF4, a scale for 64 weights of a row."""
    keep: Annotated[tuple[str, ...], tyro.conf.arg(metavar="REGEX ...")] = ()
    """Linears of blocks that stay in bfloat16, by their names, such as '^vision' or 'layers.0.mlp'."""
    adapter: Path | None = None
    """Folder of a LoRA adapter, as PEFT saves it, to merge first."""
    count: int = 100
    """Questions that both models are asked; 0 leaves the report out."""
    data: Annotated[Path | None, tyro.conf.arg(metavar="MANIFEST")] = None
    """Manifest or InternVL's meta file to ask from; the playground's held-out questions by default."""
    seed: int = 0
    """Which records of --data are asked."""
    max_new_tokens: int = 48
    """Longest answer."""
    blocks: int = 8
    """Questions with which each block is tried alone in few bits; 0 leaves that out."""
    most_changed: float | None = None
    """Share of answers, 0 to 1, above which the exit code is 1; the checkpoint stays."""
    device: str = "auto"
    """Where the models answer: auto, cpu, cuda."""

    def targets(self) -> Mapping[Path, bool]:
        return {self.target: True}

    def run(self) -> int:
        self.at_least(count=0, max_new_tokens=1, blocks=0)
        if self.most_changed is not None and not (0 <= self.most_changed <= 1 and self.count):
            raise ValueError(f"--most-changed {self.most_changed}: give a share from 0 to 1, and questions")
        source, adapter = find_with_adapter(
            shipped_folder() if self.source == "shipped" else self.source, self.adapter
        )
        require_new(self.target)
        before = tessera.load(source, self.device, adapter=adapter) if self.count else None
        questions, notes = ([], []) if before is None else self.questions(before)
        with progress_bars() as bars:
            done = quantise_checkpoint(
                source, self.target, KINDS[self.bits], self.keep, adapter=adapter, progress=bars
            )
            done = replace(done, notes=(*done.notes, *notes))
            drift = None
            if before is not None:
                drift = measure_drift(
                    before,
                    tessera.load(self.target, self.device),
                    questions,
                    max_new_tokens=self.max_new_tokens,
                    block_questions=self.blocks,
                    progress=bars,
                )
        told = asdict(done) | {"accuracy": None if drift is None else drift.summary()}
        if drift is not None:
            self.write_report(done, drift)
        self.tell(lambda: told, lambda: print("\n".join(lines_of(done, drift))))
        if drift is None or self.most_changed is None:
            return 0
        return int(drift.changed > self.most_changed * len(drift.answers))

    def questions(self, model: ChatModel) -> tuple[list[DriftQuestion], list[str]]:
        """What is asked, and a note about records that can't be. ValueError where --data has none."""
        if self.data is None:
            return playground_questions(self.count), []
        found: list[DriftQuestion] = []
        faults: list[str] = []
        for asked in self.records(self.data, model):
            if isinstance(asked, str):
                faults.append(asked)
            else:
                found.append(asked)
        first = f": {shown(faults[0], bare=True)}" if faults else ""
        if not found:
            raise ValueError(f"--data {self.data}: no record has a question to ask{first}")
        return found, [f"{counted(len(faults), 'record')} passed over{first}"] if faults else []

    def records(self, manifest: Path, model: ChatModel) -> Iterator[DriftQuestion | str]:
        """What random records ask first; what is wrong with a record that can't be asked."""
        entries = open_sources(read_meta(manifest))
        for number, record in choose_records(entries, self.count, self.seed):
            source = entries[number].source
            file, line = source.place(record)
            try:
                talk = source.conversation(record)
                roles = [message.role for message in talk.messages]
                end = roles.index("assistant") if "assistant" in roles else len(roles)
                asked = Conversation(talk.messages[:end])
                if "user" not in roles[:end]:
                    raise ValueError("no question before an answer")
                model.prompt(asked, max_new_tokens=self.max_new_tokens)  # reads pictures, counts tokens
            except ValueError as error:
                told = str(error)
                yield told if told.startswith(str(file)) else f"{file}:{line}: {told}"
            else:
                yield DriftQuestion(asked, f"{source.name}:{line}")

    def write_report(self, done: QuantisedCheckpoint, drift: Drift) -> None:
        """Both files, into the checkpoint's folder."""
        settings = {
            "model": done.name,
            "made from": done.source,
            "bits": self.bits,
            "kept in bfloat16": ", ".join(self.keep) or "nothing of the blocks",
            "questions": self.data or "playground, held out",
            "tessera": tessera.__version__,
        }
        content = asdict(done) | {"source": str(done.source), "target": str(done.target)}
        write_json(self.target / JSON_FILE, content | drift.summary())
        title = f"{done.name} in {self.bits} bits"
        sizes = (done.bytes_before, done.bytes_after)
        write_page(self.target / PAGE_FILE, drift_page(title, drift, sizes, settings))


def lines_of(done: QuantisedCheckpoint, drift: Drift | None) -> list[str]:
    """What was written and measured, in words."""
    share = done.bytes_after / done.bytes_before
    kept = f", {len(done.kept)} kept in bfloat16" if done.kept else ""
    lines = [
        f"written    {done.target}: {len(done.linears)} linear layers in {done.kind}{kept}",
        f"size       {short(done.bytes_before, 'kMG')}B -> {short(done.bytes_after, 'kMG')}B ({share:.0%})",
        *([] if drift is None else accuracy_lines(done, drift)),
        f"open it    tessera chat --model {done.target}",
    ]
    return [*lines, *(f"note       {note}" for note in done.notes)]


def accuracy_lines(done: QuantisedCheckpoint, drift: Drift) -> Iterator[str]:
    """Answers, distributions, and what hurts most."""
    asked, (before, after, known) = len(drift.answers), drift.right
    right = f"; right before {before}, after {after} of {known}" if known else ""
    yield f"answers    {drift.changed} of {asked} changed ({drift.changed / asked:.1%}){right}"
    yield (
        f"KL         mean {drift.kl_mean:.2g}, 99th percentile {drift.kl_p99:.2g} nats; best token the same "
        f"for {drift.same_best:.1%} of {drift.tokens:,}"
    )
    if drift.blocks:
        worst = sorted(drift.blocks, key=lambda block: -block.kl)[:3]
        told = ", ".join(f"{block.name} {block.kl:.2g}" for block in worst)
        yield f"worst      {told} (KL with this block alone in few bits)"
    yield f"report     {done.target / PAGE_FILE}, {JSON_FILE} beside it"
