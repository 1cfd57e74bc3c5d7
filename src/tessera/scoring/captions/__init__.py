"""Captions against several references: BLEU, ROUGE-L and CIDEr over a corpus, as pycocoevalcap has them.

Read `ptb` (words as the Stanford tokenizer divides them), then `bleu`, `rouge`, `cider`, then `named`.
Must not know where captions come from. Definitions: docs/facts/evaluation.md.
"""
