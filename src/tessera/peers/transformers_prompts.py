"""What transformers feeds for a checkpoint folder: its processor where one can be made, else its parts.

`InternVLProcessor` needs torchvision for its video part and the `-hf` files. Where it cannot be constructed,
the same steps are taken one by one: the folder's chat template, transformers' picture processor for the
number of tiles, the processor's expansion of placeholders (facts 2.4), transformers' tokenizer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.files import content_of, read_json
from tessera.chat.tokens import IMG_CONTEXT, IMG_END, IMG_START
from tessera.imaging.decode import decode_image, read_size
from tessera.peers.compare import EnginePrompt

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
"""What the template of the `-hf` files writes (facts 2.4), for folders that carry none: no system text."""

_MARKS = re.compile("<IMG_CONTEXT>|<image>|<video>")


def feed_transformers(
    folder: str | Path,
    messages: Sequence[Mapping[str, Any]],
    tokenizer: Tokenizer,
    tokens_per_tile: int,
    frames: Sequence[int] = (),
) -> EnginePrompt:
    """The prompt that transformers makes of messages with `text`, `image` (a file) and `video` parts.

    tokenizer: ours, used only where transformers cannot read the folder's. frames: frames of every clip,
    taken from our own prompt because the processor samples none by itself. Raises ValueError when
    transformers is not installed.
    """
    transformers = _import_transformers()
    notes: list[str] = []
    if not frames:
        try:
            return _whole(transformers, folder, messages)
        except CANNOT_BE_MADE as error:
            notes.append(f"its processor cannot be made here ({_first_line(error)}): taken part by part")
    else:
        notes.append("its processor samples no frames by itself: as many as ours, taken part by part")
    prompt = _text(Path(folder), messages, notes)
    marks = _placeholders(transformers, Path(folder), messages, tokens_per_tile, frames, notes)
    found = _MARKS.findall(prompt)
    if len(found) != len(marks):
        notes.append(f"its template writes {len(found)} placeholders for {len(marks)} pictures and clips")
    if "<image>" in found:
        notes.append("its template writes <image>, which transformers 5 leaves as text; expanded here")
    queue = iter(marks)
    prompt = _MARKS.sub(lambda mark: next(queue, mark[0]), prompt)
    ids = _ids(transformers, Path(folder), prompt, tokenizer, notes)
    return EnginePrompt(ENGINE, len(ids), tuple(ids), notes=tuple(notes))


def _import_transformers() -> Any:
    try:
        import transformers
    except ImportError as error:
        raise ValueError("--against transformers: it is not installed; pip install transformers") from error
    return transformers


def _whole(transformers: Any, folder: str | Path, messages: Sequence[Mapping[str, Any]]) -> EnginePrompt:
    """Through the processor itself. Remote code is refused, not asked for."""
    processor = transformers.AutoProcessor.from_pretrained(str(folder), trust_remote_code=False)
    if not hasattr(processor, "image_processor"):
        raise ValueError("the folder makes a tokenizer, not a processor of pictures")
    values = processor.apply_chat_template(
        [dict(message) for message in messages], add_generation_prompt=True, tokenize=True, return_dict=True
    )
    ids = values["input_ids"]
    flat = ids[0] if len(ids) == 1 and not isinstance(ids[0], int) else ids
    return EnginePrompt(ENGINE, len(flat), tuple(int(i) for i in flat))


def _text(folder: Path, messages: Sequence[Mapping[str, Any]], notes: list[str]) -> str:
    """The prompt with one placeholder a picture, by the folder's chat template."""
    from transformers.utils.chat_template_utils import render_jinja_template

    template = _chat_template(folder)
    if template is None:
        notes.append("the folder has no chat template: that of the -hf files is taken")
        template = DEFAULT_TEMPLATE
    elif "image" not in template:
        notes.append("the folder's chat template knows no pictures: placeholders stand before the text")
        messages = [_flattened(message) for message in messages]
    config = read_json(folder / "tokenizer_config.json")
    known = {key: content_of(config.get(key)) or "" for key in ("bos_token", "eos_token")}
    rendered, _ = render_jinja_template(
        conversations=[list(messages)], chat_template=template, add_generation_prompt=True, **known
    )
    return str(rendered[0])


def _chat_template(folder: Path) -> str | None:
    """The template in the places where transformers looks for one, the processor's before the tokenizer's."""
    jinja = folder / "chat_template.jinja"
    if jinja.is_file():
        return jinja.read_text(encoding="utf-8")
    for name in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
        template = read_json(folder / name).get("chat_template")
        if isinstance(template, list):
            template = next((t["template"] for t in template if t.get("name") == "default"), None)
        if isinstance(template, str):
            return template
    return None


def _flattened(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message as engines write it for a text-only template: placeholders first, then the words."""
    content = message["content"]
    if isinstance(content, str):
        return dict(message)
    marks = [
        f"{IMG_CONTEXT}\n" if p["type"] == "image" else "<video>\n" for p in content if p["type"] != "text"
    ]
    return {**message, "content": "".join(marks + [p["text"] for p in content if p["type"] == "text"])}


def _placeholders(
    transformers: Any,
    folder: Path,
    messages: Sequence[Mapping[str, Any]],
    tokens_per_tile: int,
    frames: Sequence[int],
    notes: list[str],
) -> list[str]:
    """What stands for every picture and clip, in order."""
    parts = [p for m in messages if not isinstance(m["content"], str) for p in m["content"]]
    media = [p for p in parts if p["type"] != "text"]
    counts = iter(frames)
    processor = _picture_processor(transformers, folder, notes) if media else None
    tile = IMG_CONTEXT * tokens_per_tile
    found = []
    for part in media:
        if part["type"] == "image":
            width, height = read_size(part["image"])
            tiles = _count_tiles(processor, width, height, part["image"])
            found.append(IMG_START + tile * tiles + IMG_END)
        else:
            shown = range(1, next(counts) + 1)
            found.append("\n".join(f"Frame{i}: {IMG_START}{tile}{IMG_END}" for i in shown))
    return found


def _picture_processor(transformers: Any, folder: Path, notes: list[str]) -> Any:
    """transformers' tiler with the settings of the folder; 448 px and 1 to 12 tiles where it has none."""
    written = read_json(folder / "processor_config.json").get("image_processor", {})
    written = written or read_json(folder / "preprocessor_config.json")
    if "max_patches" not in written:
        notes.append("the folder has no tile limits for transformers: 448 px and 1 to 12 tiles are taken")
        written = {"size": {"height": 448, "width": 448}, "min_patches": 1, "max_patches": 12}
    kept = {key: written[key] for key in ("size", "min_patches", "max_patches") if key in written}
    made = getattr(transformers, "GotOcr2ImageProcessorPil", None) or transformers.GotOcr2ImageProcessor
    return made(**kept, crop_to_patches=True)


def _count_tiles(processor: Any, width: int, height: int, source: Any) -> int:
    """Tiles by transformers' own arithmetic; by its pixels where a version has no such method."""
    if hasattr(processor, "get_number_of_image_patches"):
        return int(processor.get_number_of_image_patches(height, width, {}))
    return int(processor([decode_image(source)], return_tensors="np")["num_patches"][0])


def _ids(transformers: Any, folder: Path, prompt: str, tokenizer: Tokenizer, notes: list[str]) -> list[int]:
    """Ids by transformers' tokenizer of the folder; ours where it needs remote code or missing packages."""
    try:
        theirs = transformers.AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False)
    except CANNOT_BE_MADE as error:
        notes.append(
            f"its tokenizer cannot be made here ({_first_line(error)}): ours turns its text into ids"
        )
        bos = tokenizer.bos_id
        text_has_bos = bos is not None and prompt.startswith(tokenizer.decode([bos], skip_special=False))
        return ([] if bos is None or text_has_bos else [bos]) + tokenizer.encode(prompt)
    begins = theirs.bos_token is not None and prompt.startswith(theirs.bos_token)
    return [int(i) for i in theirs(prompt, add_special_tokens=not begins).input_ids]


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]
