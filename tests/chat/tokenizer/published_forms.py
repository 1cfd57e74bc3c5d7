"""Tokenizers in the forms in which checkpoints publish them, made with the tokenizers library."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sentencepiece
import tokenizers
from tokenizers import decoders, models, pre_tokenizers, processors, trainers

from tessera.chat.tokens import ADDED_TOKENS

LLAMA3_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
WORDS = "Hello world, what is in the picture? 1234 猫 café don't user assistant system\n\n  x = [1, 23]\t# 🙂"


def merges_of(sp: sentencepiece.SentencePieceProcessor) -> tuple[dict[str, int], list[tuple[str, str]]]:
    """Vocabulary and merges of a SentencePiece BPE model: each split of a piece in two, best first."""
    vocab = {sp.id_to_piece(i): i for i in range(sp.get_piece_size())}
    found = []
    for piece, index in vocab.items():
        if sp.is_byte(index) or sp.is_control(index):
            continue
        for cut in range(1, len(piece)):
            pair = piece[:cut], piece[cut:]
            if pair[0] in vocab and pair[1] in vocab:
                found.append((-sp.get_score(index), vocab[pair[0]], vocab[pair[1]], pair))
    return vocab, [pair for *_, pair in sorted(found)]


def write_llama_export(
    model: Path,
    folder: Path,
    scheme: str,
    added: Sequence[str],
    config: dict[str, Any],
    renamed: dict[int, str] | None = None,
) -> None:
    """A LlamaTokenizerFast export of a tokenizer.model: Metaspace, byte fallback, bos by post-processor.

    renamed: pieces that carry another name in the export (InternLM2's unused ones became turn markers).
    """
    sp = sentencepiece.SentencePieceProcessor(model_file=str(model))
    vocab, merges = merges_of(sp)
    vocab = {(renamed or {}).get(index, piece): index for piece, index in vocab.items()}
    bpe = models.BPE(vocab, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True)
    made = tokenizers.Tokenizer(bpe)
    made.pre_tokenizer = pre_tokenizers.Metaspace("\u2581", prepend_scheme=scheme, split=False)
    made.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    made.add_special_tokens([tokenizers.AddedToken(t, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    made.add_special_tokens([tokenizers.AddedToken(t, normalized=False) for t in added])
    made.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    write(made, folder, {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"} | config)


def write_llama3(folder: Path) -> None:
    """A small tokenizer of Llama 3's kind: byte-level BPE, digits by three, bos by post-processor."""
    made = tokenizers.Tokenizer(models.BPE(ignore_merges=True))
    split = pre_tokenizers.Split(tokenizers.Regex(LLAMA3_SPLIT), "isolated")
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    made.pre_tokenizer = pre_tokenizers.Sequence([split, byte_level])
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        [WORDS] * 4, trainers.BpeTrainer(vocab_size=400, initial_alphabet=alphabet, show_progress=False)
    )
    named = ["<|begin_of_text|>", "<|end_of_text|>", "<|im_start|>", "<|im_end|>", *ADDED_TOKENS]
    made.add_special_tokens([tokenizers.AddedToken(t, normalized=False) for t in named])
    bos = made.token_to_id(named[0])
    made.post_processor = processors.TemplateProcessing(
        single=f"{named[0]} $A", special_tokens=[(named[0], bos)]
    )
    write(made, folder, {"bos_token": named[0], "eos_token": "<|im_end|>"})


def write(made: tokenizers.Tokenizer, folder: Path, config: dict[str, Any]) -> None:
    """tokenizer.json and tokenizer_config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
