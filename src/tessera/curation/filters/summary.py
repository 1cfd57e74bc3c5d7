"""Counts of a run: records by verdict and source, rows by rule, domains, and the model's bill."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

from tessera.curation.filters.config import ModelConfig
from tessera.curation.filters.judge import Judged
from tessera.curation.filters.models.reply_store import Asking
from tessera.curation.filters.rules.finding import VERDICTS, Verdict, worst


@dataclass
class Summary:
    """What is counted while verdicts go by."""

    records: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """source -> records, text, multimodal, exempt, keep, borderline, drop"""
    rules: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    """rule -> keep, borderline, drop and, of a model's answers, unreadable"""
    domains: Counter[str] = field(default_factory=Counter)
    model: dict[str, Any] = field(default_factory=dict)
    """requests, tokens and cost; empty when no model was asked"""

    def add(self, name: str, judged: Judged) -> Verdict:
        """Count a record; returns its verdict, the worst of its rows."""
        verdict = worst([row.verdict for row in judged.rows])
        kind = "exempt" if judged.exempt else "multimodal" if judged.multimodal else "text"
        self.records[name].update(["records", kind, verdict])
        if judged.domain is not None:
            self.domains[judged.domain] += 1
        for row in judged.rows:
            unread = row.rule.startswith("model_") and row.score is None
            self.rules[row.rule].update([row.verdict, *(["unreadable"] if unread else [])])
        return verdict

    def bill(self, asking: Asking, prices: ModelConfig) -> None:
        """Take the model's bill."""
        cost = asking.prompt_tokens * prices.prompt_price + asking.answer_tokens * prices.answer_price
        self.model = {
            "name": asking.scorer.name,
            "asked": asking.asked,
            "from_store": asking.known,
            "failed": asking.failed,
            "prompt_tokens": asking.prompt_tokens,
            "answer_tokens": asking.answer_tokens,
            "cost": round(cost / 1e6, 6),
        }

    @property
    def total(self) -> Counter[str]:
        """Counts of all sources together."""
        return sum(self.records.values(), Counter())

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "total": {verdict: self.total[verdict] for verdict in ("records", *VERDICTS)},
            "sources": {name: dict(counts) for name, counts in self.records.items()},
            "rules": {name: dict(counts) for name, counts in sorted(self.rules.items())},
            "domains": dict(self.domains),
            "model": self.model,
        }


def summary_from(plain: dict[str, Any]) -> Summary:
    """The inverse of `as_dict`."""
    summary = Summary(domains=Counter(plain["domains"]), model=plain["model"])
    summary.records.update({name: Counter(counts) for name, counts in plain["sources"].items()})
    summary.rules.update({name: Counter(counts) for name, counts in plain["rules"].items()})
    return summary
