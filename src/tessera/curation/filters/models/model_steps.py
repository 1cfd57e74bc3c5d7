"""The questions to a model: which domain, what quality, how free of repetition; each answer becomes a row.

Prompts are text files, shipped with the package and replaceable one by one; InternVL2.5's are not public
(docs/facts/cleaning.md). `{sample}` stands for the conversation and `{fence}` for a line that can't occur in
it.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path

from tessera.curation.filters.config import FilterConfig, ScoreConfig
from tessera.curation.filters.domains import DOMAINS, domain_by_rule, read_domain
from tessera.curation.filters.judge import JudgedRecord
from tessera.curation.filters.models.reply_store import Asking
from tessera.curation.filters.models.scorer import Reply, read_reason, read_score
from tessera.curation.filters.rules.finding import EXCERPT, VerdictRow

PROMPT_FILES = ("domain", "repetition", *(f"quality_{domain}" for domain in DOMAINS))


def load_prompts(folder: Path | None = None) -> dict[str, str]:
    """Name -> text of all prompts, those of the folder before those of the package.

    ValueError for a file that isn't one of `PROMPT_FILES`, or lacks {sample} or {fence}.
    """
    shipped = files("tessera") / "assets" / "filters"
    texts = {name: (shipped / f"{name}.txt").read_text("utf-8") for name in PROMPT_FILES}
    if folder is None:
        return texts
    if not folder.is_dir():
        raise ValueError(f"prompts: no folder {folder}; correct the path")
    for file in sorted(folder.glob("*.txt")):
        if file.stem not in PROMPT_FILES:
            known = ", ".join(PROMPT_FILES)
            raise ValueError(f"prompts: {file}: the name is not known; choose among {known}")
        text = file.read_text(encoding="utf-8")
        if missing := " and ".join(mark for mark in ("{sample}", "{fence}") if mark not in text):
            raise ValueError(f"prompts: {file}: {missing} is missing; write it where it shall stand")
        texts[file.stem] = text
    return texts


def fill(prompts: Mapping[str, str], name: str, sample: str) -> str:
    """A prompt with its conversation, between fences that it can't close: they hold its hash."""
    fence = "=====" + hashlib.blake2b(sample.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()
    # The sample comes last, so that marks inside the conversation stay as they are.
    return prompts[name].replace("{fence}", fence).replace("{sample}", sample)


@dataclass(frozen=True)
class ModelSteps:
    """The steps of a run that ask a model."""

    config: FilterConfig
    prompts: Mapping[str, str]
    asking: Asking

    def judge(self, judged: Iterable[JudgedRecord]) -> Iterator[JudgedRecord]:
        """The same records in order, with rows of the model; all steps run side by side."""
        if self.config.domains.by == "model" and self.config.quality.on:
            judged = self._domains(judged)
        if self.config.quality.on:
            judged = self._scores(judged, "quality", self.config.quality)
        if self.config.repetition.on:
            judged = self._scores(judged, "repetition", self.config.repetition)
        return iter(judged)

    def _domains(self, stream: Iterable[JudgedRecord]) -> Iterator[JudgedRecord]:
        """Domains that are still open; the rule decides, and a row says so, where the model names none."""
        for judged, reply in self.asking.ask(stream, self._domain_prompt):
            if reply is not None and judged.sample is not None:
                domain = read_domain(reply.text)
                judged.domain = domain or domain_by_rule(judged.sample)
                if domain is None:
                    _add(judged, VerdictRow("model_domain", None, None, "keep"), reply, reply.text)
            yield judged

    def _domain_prompt(self, judged: JudgedRecord) -> str | None:
        if judged.sample is None or judged.multimodal or judged.domain is not None:
            return None
        return fill(self.prompts, "domain", judged.sample)

    def _scores(
        self, stream: Iterable[JudgedRecord], step: str, settings: ScoreConfig
    ) -> Iterator[JudgedRecord]:
        """A score and the model's reason as a row; without a score borderline, with what was said instead."""
        for judged, reply in self.asking.ask(stream, partial(self._score_prompt, step)):
            if reply is not None:
                score = None if reply.error is not None else read_score(reply.text)
                verdict = "borderline" if score is None else settings.verdict(score)
                row = VerdictRow(f"model_{step}", score, settings.threshold, verdict)
                _add(judged, row, reply, reply.text if score is None else read_reason(reply.text))
            yield judged

    def _score_prompt(self, step: str, judged: JudgedRecord) -> str | None:
        """Quality is asked of text only (docs/facts/cleaning.md); repetition of every record."""
        if judged.sample is None or (step == "quality" and judged.multimodal):
            return None
        name = step if step == "repetition" else f"quality_{judged.domain}"
        return fill(self.prompts, name, judged.sample)


def _add(judged: JudgedRecord, row: VerdictRow, reply: Reply, said: str) -> None:
    told = said if reply.error is None else f"no answer: {reply.error}"
    judged.rows.append(replace(row, excerpt=told[:EXCERPT], domain=judged.domain))
