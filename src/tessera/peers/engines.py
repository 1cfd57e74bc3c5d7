"""Command lines and templates of the engines that Tessera starts.

Flags are those of the public documentation of `vllm serve`, `lmdeploy serve api_server` and
`sglang.launch_server`, as it was in November 2026.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from tessera.chat.templates import Template

EngineName = Literal["vllm", "lmdeploy", "sglang"]
LayoutRead = Literal["official", "transformers"]
LAYOUT_OF_PARTS = "transformers"
"""The layout whose folders hold a template of their own, which puts pictures where they were said."""


@dataclass(frozen=True)
class EngineStart:
    """What is served and how. folder: a checkpoint that the engine reads. template: a file made for it, or
    None where the folder's own serves. gpus: how many share the model. more: further words, as they are."""

    folder: str
    layout: str
    name: str
    host: str
    port: int
    gpus: int = 1
    context: int | None = None
    template: str | None = None
    more: tuple[str, ...] = ()


@dataclass(frozen=True)
class ServingEngine:
    """One engine: the layouts that it reads, the best first; how it is called, installed and asked."""

    name: EngineName
    layouts: tuple[LayoutRead, ...]
    package: str
    command: Callable[[EngineStart], list[str]]
    template: Callable[[Template, str, str], tuple[str, str] | None]
    """Ending and content of a template file; takes template, system text and layout. None: none is needed."""
    health: str = "/health"
    tokenizes: bool = False
    """Whether POST /tokenize takes messages and gives ids."""
    encodes: bool = False
    """Whether POST /v1/encode gives the ids of a text as a first question."""

    @property
    def install(self) -> str:
        """What installs it."""
        return f"pip install {self.package}"


def _vllm(start: EngineStart) -> list[str]:
    words = ["vllm", "serve", start.folder, "--served-model-name", start.name, "--host", start.host]
    words += ["--port", str(start.port), "--tensor-parallel-size", str(start.gpus)]
    words += [] if start.layout == LAYOUT_OF_PARTS else ["--trust-remote-code"]
    words += _optional("--max-model-len", start.context)
    if start.template is not None:
        words += ["--chat-template", start.template, "--chat-template-content-format", "string"]
    return [*words, *start.more]


def _lmdeploy(start: EngineStart) -> list[str]:
    words = ["lmdeploy", "serve", "api_server", start.folder, "--model-name", start.name]
    words += ["--server-name", start.host, "--server-port", str(start.port), "--tp", str(start.gpus)]
    words += _optional("--session-len", start.context) + _optional("--chat-template", start.template)
    return [*words, *start.more]


def _sglang(start: EngineStart) -> list[str]:
    words = ["python", "-m", "sglang.launch_server", "--model-path", start.folder]
    words += ["--served-model-name", start.name, "--host", start.host, "--port", str(start.port)]
    words += ["--tp", str(start.gpus), "--trust-remote-code"]
    words += _optional("--context-length", start.context) + _optional("--chat-template", start.template)
    return [*words, *start.more]


def _optional(option: str, value: int | str | None) -> list[str]:
    return [] if value is None else [option, str(value)]


def jinja_template(template: Template, system: str, layout: str) -> tuple[str, str] | None:
    """Turns in Jinja, for contents that are texts; None where the folder has a template of its own.

    The engine puts pictures in front of the words. Without a system message the model's own text is written.
    """
    if layout == LAYOUT_OF_PARTS:
        return None
    quoted = {name: json.dumps(text, ensure_ascii=False) for name, text in _pieces(template, system).items()}
    stops = template.stop, template.earlier_stop or template.stop
    parts = template.assistant_prefix + template.answer_lead, *(stop + template.answer_end for stop in stops)
    lead, end, earlier = (json.dumps(part, ensure_ascii=False) for part in parts)
    lines = (
        "{%- for m in messages -%}{%- if loop.first and m['role'] != 'system' -%}"
        f"{{{{ {quoted['opening']} }}}}{{%- endif -%}}",
        f"{{%- if m['role'] == 'system' -%}}{{{{ {quoted['system']} + m['content'] + {quoted['eosys']} }}}}",
        f"{{%- elif m['role'] == 'user' -%}}{{{{ {quoted['user']} + m['content'] + {quoted['eoh']} }}}}",
        f"{{%- else -%}}{{{{ {lead} + m['content'] + ({end} if loop.last else {earlier}) }}}}{{%- endif -%}}",
        "{%- endfor -%}",
        f"{{%- if add_generation_prompt -%}}{{{{ {quoted['assistant']} }}}}{{%- endif -%}}",
    )
    return "jinja", "".join(lines)


def lmdeploy_template(template: Template, system: str, layout: str) -> tuple[str, str]:
    """LMDeploy's JSON file of a chat template (its documentation, "customized chat template")."""
    del layout  # the same for both
    pieces = _pieces(template, system)
    own = {name: pieces[name] for name in ("system", "eosys", "user", "eoh", "assistant")}
    fields = {"model_name": f"tessera-{template.name}", "meta_instruction": system, **own}
    fields |= {"eoa": template.earlier_stop or template.stop, "separator": template.answer_end}
    fields |= {"capability": "chat"}
    return "json", json.dumps(fields | {"stop_words": list(template.stops)}, ensure_ascii=False, indent=1)


def no_template(template: Template, system: str, layout: str) -> None:
    """SGLang knows the models by their architecture."""


def _pieces(template: Template, system: str) -> dict[str, str]:
    return {
        "opening": template.system_prefix + system + template.system_end,
        "system": template.system_prefix,
        "eosys": template.system_end,
        "user": template.user_prefix,
        "eoh": template.user_end,
        "assistant": template.assistant_prefix,
    }


ENGINES: dict[EngineName, ServingEngine] = {
    "vllm": ServingEngine(
        "vllm", ("transformers", "official"), "vllm", _vllm, jinja_template, tokenizes=True
    ),
    "lmdeploy": ServingEngine(
        "lmdeploy", ("official", "transformers"), "lmdeploy", _lmdeploy, lmdeploy_template, encodes=True
    ),
    "sglang": ServingEngine("sglang", ("official",), "'sglang[all]'", _sglang, no_template),
}


def shown_command(words: Sequence[str]) -> str:
    """A command as it is typed."""
    return shlex.join(words)
