"""Which special strings the words of a person or the model may hold as tokens, and an answer shows.

Never those that write turns and pictures, nor bos, eos and their like. Always the grounding marks, and what
the tokenizer's file does not call special (`<think>`). Of the others a choice: those that somebody added
behind the series' own, all, or these names.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal

from tessera.chat.tokens import AddedToken, SpecialTokens
from tessera.runtime.shown import shown

ContentTokens = Literal["added", "all"] | tuple[str, ...]
"""`added`: those behind the picture tokens, where a model's owner puts them; `all`; or names."""
CONTROLS = tuple(f"{name}_token" for name in ("bos", "eos", "unk", "pad", "sep", "cls", "mask"))
SERIES = SpecialTokens()
PLACEHOLDERS = ("<image>", "<video>")
"""Where media stand in a text, and so no words; processors keep tokens of these names."""


def content_names(
    added: Mapping[str, AddedToken],
    config: Mapping[str, Any],
    choice: ContentTokens | Collection[str] = "added",
    tokens: SpecialTokens = SERIES,
    turns: Collection[str] = (),
) -> frozenset[str]:
    """Names of the special strings that content may hold.

    config: tokenizer_config.json, whose `eos_token`, `video_token` and the like are no content by themselves.
    turns: what the template writes. Raises ValueError for a name that is no token, or may not be content.
    """
    barred = {*tokens.pictures, *tokens.sounds, *turns, *_named(config, CONTROLS)}
    always = {text for text, token in added.items() if not token.special or text in tokens.others} - barred
    if isinstance(choice, str):
        if choice not in ("added", "all"):
            raise ValueError(f"content_tokens: {shown(choice)}: give 'added', 'all' or a list of names")
        roles = {*PLACEHOLDERS, *_named(config, [key for key in config if key.endswith("_token")])}
        own = [added[text].id for text in tokens.all if text in added]
        last = max(own, default=0) if choice == "added" else -1
        # Without picture tokens these are the files of a language model: nothing stands behind its own.
        found = {text for text, token in added.items() if token.id > last and (own or last < 0)}
        return frozenset(always | (found - barred - roles))
    for text in choice:
        if text not in added:
            raise ValueError(
                f"content_tokens: {shown(text)} is no token of this tokenizer; correct it, or add it with "
                "`tessera convert --add-tokens`"
            )
        if text in barred:
            raise ValueError(
                f"content_tokens: {shown(text)} writes turns or pictures, not content; leave it out"
            )
    return frozenset(always | set(choice))


def _named(config: Mapping[str, Any], keys: Collection[str]) -> Iterator[str]:
    """The strings under these keys, given as strings or as tables with flags."""
    for key in keys:
        value = config.get(key)
        text = value.get("content") if isinstance(value, Mapping) else value
        if isinstance(text, str):
            yield text
