"""The settings of a filter run, read from YAML; everything has a default, a wrong key is an error."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from tessera.curation.filters.domains import Domain
from tessera.curation.filters.rules.finding import Levels, Verdict
from tessera.curation.filters.rules.table import DEFAULTS
from tessera.runtime.config import Config
from tessera.runtime.http import RequestLimits


class JudgeModelConfig(RequestLimits):
    """Where scores come from: an OpenAI-compatible address, or a checkpoint on this machine.

    A checkpoint is asked `concurrency` questions at once.
    """

    address: str | None = None
    """http://host:port of an OpenAI-compatible server, with or without /v1"""
    checkpoint: str | None = None
    """folder or name of a checkpoint of the series; its text model answers"""
    name: str | None = None
    """the model's name at the server; the first it lists by default"""
    key_variable: str | None = None
    """environment variable that holds the server's key"""
    give_up_after: int = Field(default=20, ge=1)
    """requests that fail one after another before the run stops"""
    max_tokens: int = Field(default=256, ge=1)
    """longest answer; raise it for models that think first"""
    extra: dict[str, Any] = Field(default_factory=dict)
    """further fields of the request, such as chat_template_kwargs"""
    prompt_price: float = Field(default=0.0, ge=0)
    """price of a million prompt tokens, for the summary"""
    answer_price: float = Field(default=0.0, ge=0)
    """price of a million answer tokens"""

    @model_validator(mode="after")
    def _one_place(self) -> JudgeModelConfig:
        if (self.address is None) == (self.checkpoint is None):
            raise ValueError("model: give either address or checkpoint")
        return self


class ScoreConfig(Config):
    """What becomes of a score from 0 to 10."""

    threshold: float = Field(ge=0, le=10)
    """below it the record is dropped"""
    margin: float = Field(default=1.0, ge=0)
    """from the threshold up to less than this above it, the record is borderline"""
    on: bool = True
    """False leaves the question out"""

    def verdict(self, score: float) -> Verdict:
        """The verdict on a score: the less, the worse."""
        if score < self.threshold:
            return "drop"
        return "borderline" if score < self.threshold + self.margin else "keep"


class DomainConfig(Config):
    """How text is sorted into the four domains."""

    by: Literal["rule", "model"] = "rule"
    """rule: from words and signs of the text; model: one more question per record"""
    sources: dict[str, Domain] = Field(default_factory=dict)
    """pattern of a source's name (with * and ?) -> its domain; wins over `by`"""


class FilterConfig(Config):
    """All settings of `tessera data filter`."""

    rules: dict[str, Levels] = Field(default_factory=lambda: dict(DEFAULTS))
    """rule -> its levels; false switches a rule off; what is not named keeps its default"""
    model: JudgeModelConfig | None = None
    """None: rules only"""
    quality: ScoreConfig = ScoreConfig(threshold=7)
    """scores of text-only records by domain"""
    repetition: ScoreConfig = ScoreConfig(threshold=3, margin=2)
    """scores for freedom from repetition, of all records"""
    domains: DomainConfig = DomainConfig()
    prompts: Path | None = None
    """folder with own prompt files; what is missing there is taken from the package"""
    longest_prompt: int = Field(default=12_000, ge=500)
    """characters of a record that a model reads: head and tail of longer ones"""
    score_dropped: bool = False
    """also ask the model about records that a rule has dropped"""
    exempt: tuple[str, ...] = ()
    """patterns of sources whose multimodal records are not judged, besides those marked academic"""
    borderline: Literal["keep", "drop"] = "keep"
    """what becomes of borderline records that nobody decided on"""
    review_samples: int = Field(default=500, ge=1)
    """most records on the review page"""
    review_pictures: bool = True
    """small pictures on the review page"""

    @field_validator("rules", mode="before")
    @classmethod
    def _complete(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            return given
        if unknown := sorted(set(given) - set(DEFAULTS)):
            raise ValueError(f"unknown rule {', '.join(unknown)}; choose among {', '.join(DEFAULTS)}")
        levels: dict[str, Any] = {name: found for name, found in DEFAULTS.items() if name not in given}
        for name, chosen in given.items():
            if chosen is False or chosen is None:
                continue
            levels[name] = _over_default(DEFAULTS[name], chosen) if isinstance(chosen, dict) else chosen
        return levels


def _over_default(default: Levels, chosen: dict[str, Any]) -> dict[str, Any]:
    """The chosen levels over the default ones, which give way where they would be out of order."""
    levels = {**default.model_dump(), **chosen}
    drop, borderline = levels.get("drop"), levels.get("borderline")
    if isinstance(drop, int | float) and isinstance(borderline, int | float) and drop < borderline:
        if "borderline" not in chosen:
            levels["borderline"] = drop
        elif "drop" not in chosen:
            levels["drop"] = borderline
    return levels


def read_config(file: Path | None) -> FilterConfig:
    """The settings of a YAML file; the defaults without one. ValueError naming file, key and remedy."""
    if file is None:
        return FilterConfig()
    if not file.is_file():
        raise ValueError(f"--config {file}: no such file; check the path")
    try:
        found = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not YAML in UTF-8: {error}; correct the file") from error
    if found is not None and not isinstance(found, dict):
        raise ValueError(f"{file}: expected keys such as {', '.join(FilterConfig.model_fields)}")
    try:
        config = FilterConfig(**(found or {}))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise ValueError(f"{file}: {where}: {first['msg'].removeprefix('Value error, ')}") from error
    if config.prompts is not None:
        config = config.model_copy(update={"prompts": file.parent / config.prompts})
    return config
