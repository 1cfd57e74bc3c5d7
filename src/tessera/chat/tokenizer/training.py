"""Train a small byte-level BPE tokenizer in Qwen2's manner, for models made from nothing."""

import json
from collections.abc import Iterable

import tokenizers
from tokenizers import trainers

from tessera.chat.tokenizer.tokenizer import Tokenizer
from tessera.chat.tokenizer.vocabulary import JsonVocabulary, byte_alphabet, qwen_document
from tessera.chat.tokens import ADDED_TOKENS, AddedToken

END_OF_TEXT = "<|endoftext|>"
CONTROL_TOKENS = (END_OF_TEXT, "<|im_start|>", "<|im_end|>")
CONFIG = {
    "tokenizer_class": "Qwen2Tokenizer",
    "add_bos_token": False,
    "bos_token": None,
    "eos_token": "<|im_end|>",
    "pad_token": END_OF_TEXT,
    "clean_up_tokenization_spaces": False,
}
SMALLEST = len(byte_alphabet()) + len(CONTROL_TOKENS) + len(ADDED_TOKENS)


def train_tokenizer(texts: Iterable[str], size: int = 768) -> Tokenizer:
    """A tokenizer of at most `size` tokens: 256 bytes, merges, three control and the nine added tokens.

    Digits stay single, any text can be written, there is no bos. The special strings take the last ids, in
    the order in which a released model has them. The same texts in the same order give the same tokenizer.
    """
    if size < SMALLEST:
        raise ValueError(f"size: {size} cannot hold the bytes and special strings; give at least {SMALLEST}")
    core = tokenizers.Tokenizer.from_str(json.dumps(qwen_document({}, [])))
    trainer = trainers.BpeTrainer(
        vocab_size=size - len(CONTROL_TOKENS) - len(ADDED_TOKENS),
        initial_alphabet=sorted(byte_alphabet()),
        special_tokens=[],
        show_progress=False,
    )
    core.train_from_iterator(texts, trainer)
    model = json.loads(core.to_str())["model"]
    merges = [m if isinstance(m, str) else " ".join(m) for m in model["merges"]]
    vocabulary = JsonVocabulary(qwen_document(model["vocab"], merges))
    first = len(vocabulary.pieces)
    added = [AddedToken(text, first + i) for i, text in enumerate((*CONTROL_TOKENS, *ADDED_TOKENS))]
    return Tokenizer(vocabulary, added, config=CONFIG)
