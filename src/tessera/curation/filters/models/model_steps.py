"""The questions to a model: which domain, what quality, how free of repetition; each answer becomes a row."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from tessera.curation.filters.config import FilterConfig, ScoreConfig
from tessera.curation.filters.domains import domain_by_rule, read_domain
from tessera.curation.filters.judge import Judged
from tessera.curation.filters.models.prompts import fill
from tessera.curation.filters.models.reply_store import Asking
from tessera.curation.filters.models.scorer import Reply, read_reason, read_score
from tessera.curation.filters.rules.finding import EXCERPT, Row, Verdict


@dataclass(frozen=True)
class ModelSteps:
    """The steps of a run that ask a model; `names` are the sources' names."""

    config: FilterConfig
    prompts: Mapping[str, str]
    asking: Asking
    names: Sequence[str]

    def judge(self, judged: Iterable[Judged]) -> Iterator[Judged]:
        """The same records in order, with rows of the model; all steps run side by side."""
        if self.config.domains.by == "model" and self.config.quality.on:
            judged = self._domains(judged)
        if self.config.quality.on:
            judged = self._scores(judged, "quality", self.config.quality)
        if self.config.repetition.on:
            judged = self._scores(judged, "repetition", self.config.repetition)
        return iter(judged)

    def _domains(self, stream: Iterable[Judged]) -> Iterator[Judged]:
        """Domains that are still open; the rule decides, and a row says so, where the model names none."""
        for judged, reply in self.asking.ask(stream, self._domain_prompt):
            if reply is not None and judged.sample is not None:
                domain = read_domain(reply.text)
                judged.domain = domain or domain_by_rule(judged.sample)
                if domain is None:
                    judged.rows.append(self._row(judged, "domain", None, None, reply))
            yield judged

    def _domain_prompt(self, judged: Judged) -> str | None:
        if judged.sample is None or judged.multimodal or judged.domain is not None:
            return None
        return fill(self.prompts, "domain", judged.sample)

    def _scores(self, stream: Iterable[Judged], step: str, settings: ScoreConfig) -> Iterator[Judged]:
        for judged, reply in self.asking.ask(stream, partial(self._score_prompt, step)):
            if reply is not None:
                score = None if reply.error is not None else read_score(reply.text)
                judged.rows.append(self._row(judged, step, score, settings, reply))
            yield judged

    def _score_prompt(self, step: str, judged: Judged) -> str | None:
        """Quality is asked of text only (facts 12); repetition of every record."""
        if judged.sample is None or (step == "quality" and judged.multimodal):
            return None
        name = step if step == "repetition" else f"quality_{judged.domain}"
        return fill(self.prompts, name, judged.sample)

    def _row(
        self, judged: Judged, rule: str, score: float | None, settings: ScoreConfig | None, reply: Reply
    ) -> Row:
        """A score with the model's reason; without one borderline, with what was said instead."""
        said = read_reason(reply.text) if score is not None else reply.text
        told = said if reply.error is None else f"no answer: {reply.error}"
        verdict: Verdict = "keep" if settings is None else "borderline"
        if settings is not None and score is not None:
            verdict = settings.verdict(score)
        return Row(
            source=self.names[judged.source],
            record=judged.record,
            file=judged.file,
            line=judged.line,
            rule=f"model_{rule}",
            score=score,
            threshold=None if settings is None else settings.threshold,
            verdict=verdict,
            excerpt=told[:EXCERPT],
            domain=judged.domain,
        )
