"""A SentencePiece tokenizer as `tokenizer.json`, which transformers opens without remote code or protobuf.

The model's scores become an ordered list of merges, the prefix-space rules become a normalizer. Phi-3's space
before a first control token has no words in this format: such a tokenizer stays `tokenizer.model` alone,
which transformers opens with protobuf installed.
"""

import json
from typing import Any

import sentencepiece

from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.vocabulary import SPACE


def as_json(tokenizer: Tokenizer) -> bytes | None:
    """The file, None when the tokenizer is no SentencePiece model or one that it cannot express."""
    model = tokenizer.vocabulary.files().get("tokenizer.model")
    if model is None or tokenizer.vocabulary.lone_prefix is not None:
        return None
    processor = sentencepiece.SentencePieceProcessor(model_proto=model)
    prefixed = tokenizer.vocabulary.strips_first_space
    pieces = [processor.id_to_piece(i) for i in range(processor.get_piece_size())]
    # An added token may stand in the place of a piece: InternLM2 uses up spare ids that way.
    names = {token.id: token.text for token in tokenizer.added.values()}
    document = {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": [token.entry() for token in tokenizer.added.values()],
        **_spaces(prefixed),
        "post_processor": _opening(tokenizer),
        "decoder": _decoder(prefixed),
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": processor.id_to_piece(processor.unk_id()),
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": True,
            "byte_fallback": True,
            "ignore_merges": False,
            "vocab": {names.get(i, piece): i for i, piece in enumerate(pieces)},
            "merges": _merges(processor, pieces),
        },
    }
    return json.dumps(document, ensure_ascii=False).encode()


def _merges(processor: sentencepiece.SentencePieceProcessor, pieces: list[str]) -> list[list[str]]:
    """Every way in which a piece is made of two others, best pieces first."""
    normal = {
        piece
        for i, piece in enumerate(pieces)
        if not (processor.is_control(i) or processor.is_unknown(i) or processor.is_byte(i))
    }
    order = {piece: i for i, piece in enumerate(pieces)}
    found: list[tuple[float, int, int, str, str]] = []
    for i, piece in enumerate(pieces):
        if piece not in normal or processor.is_unused(i):
            continue
        for cut in range(1, len(piece)):
            left, right = piece[:cut], piece[cut:]
            if left in normal and right in normal:
                found.append((-processor.get_score(i), order[left], order[right], left, right))
    return [[left, right] for *_, left, right in sorted(found)]


def _spaces(prefixed: bool) -> dict[str, Any]:
    """Normalizer and pre-tokenizer: spaces become `▁`, with one more before every run (LLaMA) or none."""
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": SPACE}
    prepend = {"type": "Prepend", "prepend": SPACE}
    both = {"type": "Sequence", "normalizers": [prepend, replace]}
    return {"normalizer": both if prefixed else replace, "pre_tokenizer": None}


def _opening(tokenizer: Tokenizer) -> dict[str, Any] | None:
    """What puts the bos token first."""
    if tokenizer.bos_id is None:
        return None
    bos = tokenizer.decode([tokenizer.bos_id], skip_special=False)
    single = [{"SpecialToken": {"id": bos, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}]
    pair = [*single, {"Sequence": {"id": "B", "type_id": 1}}]
    tokens = {bos: {"id": bos, "ids": [tokenizer.bos_id], "tokens": [bos]}}
    return {"type": "TemplateProcessing", "single": single, "pair": pair, "special_tokens": tokens}


def _decoder(prefixed: bool) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [
        {"type": "Replace", "pattern": {"String": SPACE}, "content": " "},
        {"type": "ByteFallback"},
        {"type": "Fuse"},
    ]
    if prefixed:
        steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
    return {"type": "Sequence", "decoders": steps}
