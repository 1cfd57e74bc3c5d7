"""What transformers feeds for a checkpoint folder: its processor where one can be made, else its parts.

`InternVLProcessor` needs torchvision for its video part and the `-hf` files. Where it cannot be constructed,
the same steps are taken one by one: the folder's chat template, transformers' picture processor for the
number of tiles, the processor's expansion of placeholders (docs/facts/tokens.md), transformers' tokenizer.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.files import read_section, token_text
from tessera.chat.tokens import IMG_CONTEXT, IMG_END, IMG_START
from tessera.imaging.decode import decode_image, read_size
from tessera.peers.compare import EnginePrompt

Messages = Sequence[Mapping[str, Any]]
ENGINE = "transformers"
CANNOT_BE_MADE = (ImportError, OSError, ValueError, TypeError, AttributeError, KeyError)
"""What constructing a processor or a tokenizer raises when files or packages are missing."""

DEFAULT_TEMPLATE = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' }}"
    "{% if message['content'] is string %}{{ message['content'] }}{% else %}"
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}{{ '<IMG_CONTEXT>\\n' }}"
    "{% elif part['type'] == 'video' %}{{ '<video>\\n' }}"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{ '<|im_end|>\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
"""What the template of the `-hf` files writes (docs/facts/tokens.md), for folders that carry none: no system
text."""

_MARKS = re.compile("<IMG_CONTEXT>|<image>|<video>")


def feed_transformers(
    folder: str | Path,
    messages: Messages,
    tokenizer: Tokenizer,
    tokens_per_tile: int,
    frames: Sequence[int] = (),
) -> EnginePrompt:
    """The prompt that transformers makes of messages with `text`, `image` (a file) and `video` parts.

    tokenizer: ours, used only where transformers cannot read the folder's. frames: frames of every clip,
    taken from our own prompt because the processor samples none by itself. Raises ValueError when
    transformers is not installed.
    """
    try:
        transformers: Any = import_module("transformers")
    except ImportError as error:
        raise ValueError("--against transformers: it is not installed; pip install transformers") from error
    engine = _Transformers(transformers, Path(folder), [])
    if frames:
        engine.notes.append("its processor samples no frames by itself: as many as ours, taken part by part")
    else:
        try:
            ids = engine.whole(messages)
            return EnginePrompt(ENGINE, len(ids), ids)
        except CANNOT_BE_MADE as error:
            because = _first_line(error)
            engine.notes.append(f"its processor cannot be made here ({because}): taken part by part")
    prompt = engine.text(messages)
    marks = engine.placeholders(messages, tokens_per_tile, frames)
    found = _MARKS.findall(prompt)
    if len(found) != len(marks):
        engine.notes.append(
            f"its template writes {len(found)} placeholders for {len(marks)} pictures and clips"
        )
    if "<image>" in found:
        engine.notes.append("its template writes <image>, which transformers 5 leaves as text; expanded here")
    queue = iter(marks)
    ids = engine.ids(_MARKS.sub(lambda mark: next(queue, mark[0]), prompt), tokenizer)
    return EnginePrompt(ENGINE, len(ids), ids, notes=tuple(engine.notes))


@dataclass(frozen=True)
class _Transformers:
    """The library's pieces for one folder; `notes` say what was assumed on the way."""

    library: Any
    folder: Path
    notes: list[str]

    def whole(self, messages: Messages) -> tuple[int, ...]:
        """Ids by the processor itself. Remote code is refused, not asked for."""
        processor = self.library.AutoProcessor.from_pretrained(str(self.folder), trust_remote_code=False)
        if not hasattr(processor, "image_processor"):
            raise ValueError("the folder makes a tokenizer, not a processor of pictures")
        values = processor.apply_chat_template(
            list(map(dict, messages)), add_generation_prompt=True, tokenize=True, return_dict=True
        )
        ids = values["input_ids"]
        return tuple(map(int, ids[0] if len(ids) == 1 and not isinstance(ids[0], int) else ids))

    def text(self, messages: Messages) -> str:
        """The prompt with one placeholder a picture, by the folder's chat template."""
        from transformers.utils.chat_template_utils import render_jinja_template

        template = _chat_template(self.folder)
        if template is None:
            self.notes.append("the folder has no chat template: that of the -hf files is taken")
            template = DEFAULT_TEMPLATE
        elif "image" not in template:
            self.notes.append(
                "the folder's chat template knows no pictures: placeholders stand before the text"
            )
            messages = [_flattened(message) for message in messages]
        config = read_section(self.folder / "tokenizer_config.json")
        rendered = render_jinja_template(
            conversations=[list(map(dict, messages))],
            chat_template=template,
            add_generation_prompt=True,
            bos_token=token_text(config, "bos_token") or "",
            eos_token=token_text(config, "eos_token") or "",
        )
        return str(rendered[0][0])

    def placeholders(self, messages: Messages, tokens_per_tile: int, frames: Sequence[int]) -> list[str]:
        """What stands for every picture and clip, in order."""
        parts = (part for m in messages if not isinstance(m["content"], str) for part in m["content"])
        media = [part for part in parts if part["type"] != "text"]
        processor = self._picture_processor() if media else None
        counts, tile = iter(frames), IMG_CONTEXT * tokens_per_tile
        found = []
        for part in media:
            if part["type"] == "image":
                found.append(IMG_START + tile * _count_tiles(processor, part["image"]) + IMG_END)
            else:
                shown = range(1, next(counts) + 1)
                found.append("\n".join(f"Frame{i}: {IMG_START}{tile}{IMG_END}" for i in shown))
        return found

    def _picture_processor(self) -> Any:
        """Its tiler with the settings of the folder; 448 px and 1 to 12 tiles where it has none."""
        written = read_section(self.folder / "processor_config.json").part("image_processor").content
        written = written or read_section(self.folder / "preprocessor_config.json").content
        if "max_patches" not in written:
            self.notes.append(
                "the folder has no tile limits for transformers: 448 px and 1 to 12 tiles are taken"
            )
            written = {"size": {"height": 448, "width": 448}, "min_patches": 1, "max_patches": 12}
        kept = {key: written[key] for key in ("size", "min_patches", "max_patches") if key in written}
        made = getattr(self.library, "GotOcr2ImageProcessorPil", None) or self.library.GotOcr2ImageProcessor
        return made(**kept, crop_to_patches=True)

    def ids(self, prompt: str, tokenizer: Tokenizer) -> tuple[int, ...]:
        """Ids by its tokenizer of the folder; ours where it needs remote code or missing packages."""
        try:
            theirs = self.library.AutoTokenizer.from_pretrained(str(self.folder), trust_remote_code=False)
        except CANNOT_BE_MADE as error:
            because = _first_line(error)
            self.notes.append(f"its tokenizer cannot be made here ({because}): ours turns its text into ids")
            first = [] if tokenizer.bos_id is None else [tokenizer.bos_id]
            if first and prompt.startswith(tokenizer.decode(first, skip_special=False)):
                first = []
            return (*first, *tokenizer.encode(prompt))
        begins = theirs.bos_token is not None and prompt.startswith(theirs.bos_token)
        return tuple(map(int, theirs(prompt, add_special_tokens=not begins).input_ids))


def _chat_template(folder: Path) -> str | None:
    """The template in the places where transformers looks for one, the processor's before the tokenizer's."""
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8")
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        template = read_section(folder / name).content.get("chat_template")
        if isinstance(template, list):
            named = (entry for entry in template if isinstance(entry, dict))
            template = next(
                (entry.get("template") for entry in named if entry.get("name") == "default"), None
            )
        if isinstance(template, str):
            return template
    return None


def _flattened(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as engines write it for a text-only template: placeholders first, then the words."""
    content = message["content"]
    if isinstance(content, str):
        return dict(message)
    marks = {"image": f"{IMG_CONTEXT}\n", "video": "<video>\n"}
    pieces = [marks[part["type"]] for part in content if part["type"] != "text"]
    pieces += [part["text"] for part in content if part["type"] == "text"]
    return {**message, "content": "".join(pieces)}


def _count_tiles(processor: Any, source: Any) -> int:
    """Tiles by transformers' own arithmetic; by its pixels where a version has no such method."""
    if hasattr(processor, "get_number_of_image_patches"):
        width, height = read_size(source)
        return int(processor.get_number_of_image_patches(height, width, {}))
    return int(processor([decode_image(source)], return_tensors="np")["num_patches"][0])


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
