"""Files beside the config that other engines look for: when to stop, and how turns are written."""

import json
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import IMG_CONTEXT
from tessera.families.family import Family
from tessera.runtime.json_file import write_json

GENERATION_FILE = "generation_config.json"
CHAT_TEMPLATE_FILE = "chat_template.jinja"
VIDEO_PLACEHOLDER = "<video>"


def special_ids(family: Family, tokenizer: Tokenizer) -> dict[str, Any]:
    """eos (every id that ends an answer, the template's own first), bos and pad, None where there is none."""
    template = family.chat_template
    stops = [tokenizer.token_id(stop) for stop in template.stops if tokenizer.has_token(stop)]
    if not stops:
        raise ValueError(
            f"template: {template.name!r} stops at {' or '.join(template.stops)}, which is no token of this "
            "tokenizer; choose the template that belongs to the model"
        )
    pad = tokenizer.config.get("pad_token")
    text = pad.get("content") if isinstance(pad, dict) else pad
    pad_id = tokenizer.token_id(text) if text and tokenizer.has_token(text) else stops[0]
    eos = stops[0] if len(stops) == 1 else stops
    return {"eos_token_id": eos, "bos_token_id": tokenizer.bos_id, "pad_token_id": pad_id}


def write_generation(folder: Path, family: Family, tokenizer: Tokenizer) -> None:
    """generation_config.json: released configs name the language model's eos, at which answers do not end."""
    ids = {key: value for key, value in special_ids(family, tokenizer).items() if value is not None}
    write_json(folder / GENERATION_FILE, {"_from_model_config": False, **ids})


def chat_template(family: Family) -> str:
    """The family's template in Jinja, as transformers' processor applies it.

    Content is a string or a list of parts; a picture is `<IMG_CONTEXT>`, a clip `<video>`, each with a new
    line behind it. Without a system message the family's own sentence is written.
    """
    template = family.chat_template
    system = template.system_text if family.system_text is None else family.system_text
    opening = template.system_prefix + system + template.system_end
    user = _written(template.user_prefix, template.user_end)
    lead = template.assistant_prefix + template.answer_lead
    answer = _written(lead, template.stop + template.answer_end)
    if template.earlier_stop:
        earlier = _written(lead, template.earlier_stop + template.answer_end)
        answer = f"{{%- if loop.last -%}}{answer}{{%- else -%}}{earlier}{{%- endif -%}}"
    return (
        "{%- macro write(content) -%}{%- if content is string -%}{{ content }}{%- else -%}"
        "{%- for part in content -%}"
        f"{{%- if part['type'] == 'image' -%}}{{{{ {_quoted(IMG_CONTEXT + chr(10))} }}}}"
        f"{{%- elif part['type'] == 'video' -%}}{{{{ {_quoted(VIDEO_PLACEHOLDER + chr(10))} }}}}"
        "{%- else -%}{{ part['text'] }}{%- endif -%}{%- endfor -%}{%- endif -%}{%- endmacro -%}"
        "{%- for message in messages -%}"
        "{%- if message['role'] == 'system' -%}"
        f"{_written(template.system_prefix, template.system_end)}"
        "{%- else -%}"
        f"{{%- if loop.first -%}}{{{{ {_quoted(opening)} }}}}{{%- endif -%}}"
        f"{{%- if message['role'] == 'user' -%}}{user}{{%- else -%}}{answer}{{%- endif -%}}"
        "{%- endif -%}{%- endfor -%}"
        f"{{%- if add_generation_prompt -%}}{{{{ {_quoted(template.assistant_prefix)} }}}}{{%- endif -%}}"
    )


def _written(before: str, after: str) -> str:
    return f"{{{{ {_quoted(before)} + write(message['content']) + {_quoted(after)} }}}}"


def _quoted(text: str) -> str:
    """A string as Jinja reads it."""
    return json.dumps(text, ensure_ascii=False)
