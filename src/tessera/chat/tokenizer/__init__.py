"""Text to ids and back, for every tokenizer of the series.

Read `tokenizer` first (special strings and plain text are kept apart), then `vocabulary` (byte-level BPE and
SentencePiece behind one face), `files` (how checkpoints write them) and `training` (one made from nothing).
It must not know messages, templates or pictures.
"""

from tessera.chat.tokenizer.files import load_tokenizer
from tessera.chat.tokenizer.tokenizer import Tokenizer

__all__ = ["Tokenizer", "load_tokenizer"]
