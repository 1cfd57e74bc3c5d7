"""The official preprocessing written down a second time, slowly and on strings (docs/facts/templates.md).

Nothing here is imported from `tessera.chat`: prompts are put together as strings with `<image>` in them, the
marks are replaced by placeholders, the string is tokenised, and masks come from tokenising its pieces again.
"""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Callable
from pathlib import Path

import sentencepiece
import tokenizers

Encode = Callable[[str], list[int]]
Turn = tuple[str, str]
IGNORE = -100

S1 = (
    "你是由上海人工智能实验室联合商汤科技开发的书生多模态大模型，英文名叫InternVL, "
    "是一个有用无害的人工智能助手。"
)
S2 = (
    "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位"
    "联合开发的多模态大语言模型。"
)
NINE = ["<img>", "</img>", "<IMG_CONTEXT>", "<quad>", "</quad>", "<ref>", "</ref>", "<box>", "</box>"]


def fill(prompt: str, tiles: list[int], per_tile: int) -> str:
    """Replace `<image>` marks from left to right, one for each entry of `tiles` (docs/facts/templates.md)."""
    for count in tiles:
        prompt = prompt.replace("<image>", "<img>" + "<IMG_CONTEXT>" * (per_tile * count) + "</img>", 1)
    return prompt


def internvl2_5(
    turns: list[Turn], encode: Encode, bos: int | None, tiles: list[int], per_tile: int, system: str | None
) -> tuple[list[int], list[int]]:
    """Every message tokenised alone; the role and the newline after <|im_end|> are not trained."""
    queue = list(tiles)
    pieces = [("system", f"<|im_start|>system\n{S2 if system is None else system}<|im_end|>\n")]
    for role, text in turns:
        if role == "user":
            own, queue = queue[: text.count("<image>")], queue[text.count("<image>") :]
            pieces.append((role, f"<|im_start|>user\n{fill(text, own, per_tile)}<|im_end|>\n"))
        else:
            pieces.append((role, f"<|im_start|>assistant\n{text}<|im_end|>\n"))
    ids: list[int] = [] if bos is None else [bos]
    labels = [IGNORE] * len(ids)
    head = len(encode("<|im_start|>assistant\n"))
    for role, piece in pieces:
        own_ids = encode(piece)
        own_labels = list(own_ids)
        if role != "assistant":
            own_labels = [IGNORE] * len(own_ids)
        else:
            own_labels[:head] = [IGNORE] * head
            own_labels[-1] = IGNORE
        ids += own_ids
        labels += own_labels
    return ids, labels


def whole_prompt(
    turns: list[Turn],
    encode: Encode,
    bos: int | None,
    tiles: list[int],
    per_tile: int,
    system: str | None,
    words: tuple[str, str, str, str],
    strip: bool,
) -> tuple[list[int], list[int]]:
    """Hermes-2, internlm2-chat and phi3-chat: one prompt; its masks from the lengths of growing prefixes."""
    system_role, user, assistant, end = words
    if strip:
        turns = [(role, text.strip()) for role, text in turns]
    prompt = system_role + (S1 if system is None else system) + end
    marks: list[tuple[int, int]] = []
    queue = list(tiles)
    for role, text in turns:
        own, queue = queue[: text.count("<image>")], queue[text.count("<image>") :]
        prompt += user if role == "user" else assistant
        start = len(encode(prompt))
        prompt += fill(text, own, per_tile) + end
        if role == "assistant":
            marks.append((start, len(encode(prompt))))
    lead = [] if bos is None else [bos]
    ids = lead + encode(prompt)
    labels = [IGNORE] * len(ids)
    for start, stop in marks:
        span = slice(start + len(lead), stop + len(lead))
        labels[span] = ids[span]
    return ids, labels


def internvl_zh(
    turns: list[Turn], encode: Encode, bos: int | None, tiles: list[int], per_tile: int, system: str | None
) -> tuple[list[int], list[int]]:
    """system + space, `<human>: q ` and `<bot>: a</s>`; trained is what follows `<bot>:`."""
    prompt = (system or "") + " "
    marks = []
    queue = list(tiles)
    for role, text in turns:
        own, queue = queue[: text.count("<image>")], queue[text.count("<image>") :]
        filled = fill(text, own, per_tile)
        if role == "user":
            prompt += f"<human>: {filled} "
        else:
            start = len(encode(prompt + "<bot>:"))
            prompt += f"<bot>: {filled}</s>"
            marks.append((start, len(encode(prompt))))
    lead = [] if bos is None else [bos]
    ids = lead + encode(prompt)
    labels = [IGNORE] * len(ids)
    for start, stop in marks:
        span = slice(start + len(lead), stop + len(lead))
        labels[span] = ids[span]
    return ids, labels


def inference(
    name: str,
    turns: list[Turn],
    encode: Encode,
    bos: int | None,
    tiles: list[int],
    per_tile: int,
    system: str | None = None,
) -> list[int]:
    """ids of the model cards' `chat()`: the query as typed, marks replaced in it, one tokenisation.

    A null system message in config.json means the template's own (docs/facts/architecture.md); nothing is
    stripped.
    """
    if name == "internvl_zh":
        query = (system or "") + " "
        for role, text in turns:
            query += f"<human>: {text} " if role == "user" else f"<bot>: {text}</s>"
        query += "<bot>:"
    else:
        system_role, user, assistant, end = PHI3 if name == "phi3-chat" else CHATML
        own, end = (S2, end + "\n") if name == "internvl2_5" else (S1, end)
        query = system_role + (own if system is None else system) + end
        for role, text in turns:
            query += (user if role == "user" else assistant) + text + end
        query += assistant
    return ([] if bos is None else [bos]) + encode(fill(query, tiles, per_tile))


CHATML = ("<|im_start|>system\n", "<|im_start|>user\n", "<|im_start|>assistant\n", "<|im_end|>")
PHI3 = ("<|system|>\n", "<|user|>\n", "<|assistant|>\n", "<|end|>")


def preprocess(
    name: str,
    turns: list[Turn],
    encode: Encode,
    bos: int | None,
    tiles: list[int],
    per_tile: int,
    system: str | None = None,
) -> tuple[list[int], list[int]]:
    """ids and labels (-100 = not trained) as the official code makes them for the named template."""
    if name == "internvl2_5":
        return internvl2_5(turns, encode, bos, tiles, per_tile, system)
    if name == "internvl_zh":
        return internvl_zh(turns, encode, bos, tiles, per_tile, system)
    words = PHI3 if name == "phi3-chat" else CHATML
    strip = name == "internlm2-chat"
    return whole_prompt(turns, encode, bos, tiles, per_tile, system, words, strip)


@functools.cache
def load_official(kind: str, folder: Path) -> tuple[Encode, int | None]:
    """The tokenizer of a family by another road than ours, with the nine tokens, and its bos."""
    if kind == "internvl3":
        fast = tokenizers.Tokenizer.from_file(str(folder / "internvl3" / "tokenizer.json"))
        return lambda text: list(fast.encode(text, add_special_tokens=False).ids), None
    if kind in ("qwen2", "qwen3"):
        # The same pieces and merges; 2-1B adds the nine behind Qwen2's three tokens, 3.5 behind Qwen3's 26.
        document = json.loads((folder / "internvl3" / "tokenizer.json").read_text()) | {"added_tokens": []}
        core = tokenizers.Tokenizer.from_str(json.dumps(document))
        entries = json.loads((folder / "qwen3" / "tokenizer_config.json").read_text())["added_tokens_decoder"]
        kept = [v["content"] for v in entries.values()][: 3 if kind == "qwen2" else None]
        table = {text: 151643 + i for i, text in enumerate([*kept, *NINE])}
        return slow(table, lambda t, first: core.encode(t, add_special_tokens=False).ids), None
    if kind == "internlm2_internvl2":
        sp = sentencepiece.SentencePieceProcessor(model_file=str(folder / kind / "tokenizer.model"))
        table = json.loads((folder / kind / "tokenizer_config.json").read_text())["added_tokens_decoder"]
        return slow({v["content"]: int(k) for k, v in table.items()}, lambda t, first: sp.encode(t)), 1
    if kind == "yi":
        sp = sentencepiece.SentencePieceProcessor(model_file=str(folder / kind / "tokenizer.model"))
        table = {t: sp.piece_to_id(t) for t in ("<|im_start|>", "<|im_end|>", "<|im_sep|>", "<unk>")}
        table |= {"<|startoftext|>": 1, "<|endoftext|>": 2}
        # Yi's own vocabulary has <img> (68) and </img> (70); adding tokens leaves those alone
        # (docs/facts/tokens.md).
        table |= {t: sp.piece_to_id(t) for t in NINE[:2]} | {t: 64000 + i for i, t in enumerate(NINE[2:])}
        return slow(table, lambda t, first: sp.encode(t)), None
    return llama(kind, folder)


def llama(kind: str, folder: Path) -> tuple[Encode, int | None]:
    """LLaMA's pieces from the *fast* file: its Prepend normaliser is the dummy prefix, on or off."""
    document = json.loads((folder / "llama2" / "tokenizer.json").read_text())
    document["added_tokens"], document["post_processor"] = [], None
    prefixed = tokenizers.Tokenizer.from_str(json.dumps(document))
    steps = [n for n in document["normalizer"]["normalizers"] if n["type"] != "Prepend"]
    bare = tokenizers.Tokenizer.from_str(
        json.dumps(document | {"normalizer": {"type": "Sequence", "normalizers": steps}})
    )
    if kind == "llama2":
        table = {"<unk>": 0, "<s>": 1, "</s>": 2} | {t: 32000 + i for i, t in enumerate(NINE)}
        return slow(table, lambda t, first: prefixed.encode(t).ids), 1
    entries = json.loads((folder / "phi3" / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    table = {v["content"]: int(k) for k, v in entries.items()}
    strips = {v["content"] for v in entries.values() if v["rstrip"]}
    run = slow(table, lambda t, first: (prefixed if first else bare).encode(t).ids, strips)
    lone = document["model"]["vocab"]["\u2581"]
    # The slow tokenizer puts its space before the whole prompt; only bos, eos, unk and pad would drop it.
    return lambda t: ([lone] if re.match(r"<\|(system|user|assistant|end)\|>", t) else []) + run(t), 1


def slow(
    table: dict[str, int], encode_run: Callable[[str, bool], list[int]], strips: set[str] | None = None
) -> Encode:
    """Walk through a text character by character and take the longest special string that starts here."""

    def encode(text: str) -> list[int]:
        ids: list[int] = []
        run, last = "", None
        position = 0
        while position <= len(text):
            here = [t for t in table if text.startswith(t, position)] if position < len(text) else []
            if position == len(text) or here:
                run = run.lstrip() if last in (strips or ()) else run
                ids += encode_run(run, last is None) if run else []
                run = ""
            if here:
                last = max(here, key=len)
                ids.append(table[last])
                position += len(last)
            else:
                run += text[position : position + 1]
                position += 1
        return ids

    return encode
