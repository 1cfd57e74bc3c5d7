"""Counts of a run: records by verdict and source, rows by rule, domains, and the model's bill."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from tessera.curation.filters.judge import Judged
from tessera.curation.filters.rules.finding import VERDICTS


def _counters() -> defaultdict[str, Counter[str]]:
    return defaultdict(Counter)


@dataclass
class Summary:
    """What is counted while verdicts go by."""

    records: dict[str, Counter[str]] = field(default_factory=_counters)
    """source -> records, text, multimodal, exempt, keep, borderline, drop"""
    rules: dict[str, Counter[str]] = field(default_factory=_counters)
    """rule -> keep, borderline, drop and, of a model's answers, unreadable"""
    domains: Counter[str] = field(default_factory=Counter)
    model: dict[str, Any] = field(default_factory=dict)
    """requests, tokens and cost; empty when no model was asked"""

    def add(self, name: str, judged: Judged) -> None:
        """Count a record."""
        kind = "exempt" if judged.exempt else "multimodal" if judged.multimodal else "text"
        self.records[name].update(["records", kind, judged.verdict])
        if judged.domain is not None:
            self.domains[judged.domain] += 1
        for row in judged.rows:
            unread = row.rule.startswith("model_") and row.score is None
            self.rules[row.rule].update([row.verdict, *(["unreadable"] if unread else [])])

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


def summary_from(plain: Mapping[str, Any]) -> Summary:
    """The inverse of `as_dict`."""
    records, rules = (
        {name: Counter(counts) for name, counts in plain[key].items()} for key in ("sources", "rules")
    )
    return Summary(records, rules, Counter(plain["domains"]), plain["model"])
