"""Tokens and templates: InternVL's, and three strings around and in the places of sounds."""

from dataclasses import replace

from tessera.chat.templates import TEMPLATES
from tessera.chat.tokens import SoundTokens, SpecialTokens

ARCHITECTURE = "omni"
TOKENS = SoundTokens()
ALL_TOKENS = SpecialTokens(sound=TOKENS)
OWN_TEMPLATES = {name: replace(template, tokens=ALL_TOKENS) for name, template in TEMPLATES.items()}
"""Those of the series, which know of sounds here."""
