"""The files in which released tokenizers are written, and which of them count."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tessera.chat.tokenizer.tokenizer import Tokenizer
from tessera.chat.tokenizer.vocabulary import (
    JsonVocabulary,
    SentencePieceVocabulary,
    Vocabulary,
    qwen_document,
)
from tessera.chat.tokens import ADDED_TOKENS, AddedToken


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """The tokenizer in tokenizer.model, tokenizer.json or vocab.json + merges.txt, with its added tokens.

    Where both stand, tokenizer.model wins in the original layout, whose models were trained with the slow
    tokenizers, and tokenizer.json in the transformers layout (`-hf`), which reads nothing else.
    """
    root = Path(folder)
    config = read_json(root / "tokenizer_config.json")
    named = _named_tokens(config | read_json(root / "special_tokens_map.json"))
    # A model of transformers' own InternVL class, or a tokenizer saved for it.
    hf = "context_image_token" in config or read_json(root / "config.json").get("model_type") == "internvl"
    fast = hf and (root / "tokenizer.json").is_file()
    bos, document = content_of(config.get("bos_token")), {}
    if (root / "tokenizer.model").is_file() and not fast:
        model = (root / "tokenizer.model").read_bytes()
        vocabulary: Vocabulary = SentencePieceVocabulary(model, _says(config, "legacy", True))
        adds_bos = True
    else:
        document = _read_document(root)
        vocabulary = JsonVocabulary(document)
        # Llama 3's own post-processor writes the bos token.
        adds_bos = bos is not None and json.dumps(bos) in json.dumps(document.get("post_processor"))
    added = _added_tokens(root, config, document, named, vocabulary)
    first = bos if _says(config, "add_bos_token", adds_bos) else None
    return Tokenizer(vocabulary, added, first, named, config)


def _says(config: Mapping[str, Any], key: str, default: bool) -> bool:
    """A switch of the configuration; absent and null mean the default."""
    value = config.get(key)
    return default if value is None else bool(value)


def _read_document(root: Path) -> dict[str, Any]:
    if (root / "tokenizer.json").is_file():
        return read_json(root / "tokenizer.json")
    if (root / "vocab.json").is_file() and (root / "merges.txt").is_file():
        lines = (root / "merges.txt").read_text(encoding="utf-8").split("\n")
        merges = [line for line in lines if line and not line.startswith("#version")]
        return qwen_document(read_json(root / "vocab.json"), merges)
    raise ValueError(
        f"tokenizer folder: {str(root)!r} has no tokenizer.model, tokenizer.json or vocab.json + merges.txt; "
        "name the folder of a checkpoint"
    )


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in a file, {} when there is no such file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def content_of(value: Any) -> str | None:
    """The string of a token given as a string or as a table with flags."""
    return value.get("content") if isinstance(value, dict) else value


def _named_tokens(config: Mapping[str, Any]) -> frozenset[str]:
    names = ("bos", "eos", "unk", "pad", "sep", "cls", "mask")
    values = [config.get(f"{name}_token") for name in names]
    values += config.get("additional_special_tokens") or ()
    return frozenset(text for text in map(content_of, values) if text)


def _added_tokens(
    root: Path,
    config: Mapping[str, Any],
    document: Mapping[str, Any],
    named: frozenset[str],
    vocabulary: Vocabulary,
) -> list[AddedToken]:
    """Every special string from the four places in which released tokenizers write them."""
    ids = {text: vocabulary.token_id(text) for text in (*sorted(named), *ADDED_TOKENS)}
    ids |= read_json(root / "added_tokens.json")
    found = {text: AddedToken(text, index) for text, index in ids.items() if index is not None}
    entries = [(e["id"], e) for e in document.get("added_tokens", ())]
    entries += [(int(k), e) for k, e in config.get("added_tokens_decoder", {}).items()]
    for index, e in entries:
        # A control piece of the model (Phi-3's </s>) is special whatever its flag says.
        control = index < len(vocabulary.pieces) and not vocabulary.pieces[index]
        flags = control or bool(e.get("special", True)), bool(e.get("rstrip", False))
        found[e["content"]] = AddedToken(e["content"], index, *flags)
    return list(found.values())
