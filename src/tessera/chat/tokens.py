"""Special strings of the series (facts 2.3), always looked up by string, never by a fixed id."""

from __future__ import annotations

IMG_START = "<img>"
IMG_END = "</img>"
IMG_CONTEXT = "<IMG_CONTEXT>"
QUAD_START, QUAD_END = "<quad>", "</quad>"
REF_START, REF_END = "<ref>", "</ref>"
BOX_START, BOX_END = "<box>", "</box>"

GROUNDING_TOKENS = (QUAD_START, QUAD_END, REF_START, REF_END, BOX_START, BOX_END)
"""Tokens that users and answers may write: they name regions and control nothing."""

ADDED_TOKENS = (IMG_START, IMG_END, IMG_CONTEXT, *GROUNDING_TOKENS)
"""The nine tokens in the order in which the official code appends them to a language model's tokenizer."""
