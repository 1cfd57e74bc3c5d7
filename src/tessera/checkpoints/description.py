"""What a checkpoint folder says about itself, before any weight is read."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from pydantic import ValidationError

from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints import own
from tessera.checkpoints.files.folder import what_it_is
from tessera.families.architecture import Architecture, PublishedLayout, Reading, StoredKeys
from tessera.families.catalogue import refusal
from tessera.families.family import Family
from tessera.families.registry import find_layout
from tessera.runtime.config import first_fault
from tessera.runtime.json_file import read_object
from tessera.runtime.shown import counted, shown

LayoutName = Literal["tessera", "official", "transformers"]
LAYOUTS: tuple[LayoutName, ...] = get_args(LayoutName)
CONFIG_FILE = "config.json"
CARD_FILE = "card.json"


@dataclass(frozen=True, kw_only=True)
class Description(Reading):
    """Everything about a checkpoint but its weights."""

    tokenizer: Tokenizer
    layout: LayoutName = "tessera"


def published_layout(folder: Path) -> tuple[Architecture, LayoutName, PublishedLayout] | None:
    """Architecture and layout by the folder's config, None for Tessera's own.

    Raises ValueError when nobody reads it.
    """
    if own.describes(folder):
        return None
    path = folder / CONFIG_FILE
    if not path.is_file():
        raise ValueError(
            what_it_is(folder)
            or f"{shown(folder)} holds neither {own.CONFIG_FILE} nor {CONFIG_FILE}: "
            "copy the checkpoint's config beside the weights"
        )
    architecture, name, layout = find_layout(read_object(path), str(path))
    return architecture, layout_name(name), layout


def layout_name(name: str) -> LayoutName:
    """The name as one of `LAYOUTS`; ValueError for a name that is none."""
    if name not in LAYOUTS:
        raise ValueError(f"layout = {name!r}: choose {', '.join(map(repr, LAYOUTS))}")
    return name


@contextmanager
def with_known_reason(folder: Path) -> Iterator[None]:
    """Faults of a folder that bears the name of a refused model begin with the catalogue's reason."""
    try:
        yield
    except ValueError as error:
        # In the hub's cache the repository stands two levels above.
        names = [part.rpartition("--")[2] for part in folder.absolute().parts[-3:]]
        told = next((f"{name} {why}" for name in reversed(names) if (why := refusal(name))), None)
        if told is None:
            raise
        raise ValueError(f"{told} ({error})") from error


def describe(folder: Path, keys: StoredKeys) -> Description:
    """Read config and tokenizer; `keys` are the tensors in the files, empty when they are not known.

    Raises ValueError naming file, key and remedy.
    """
    found = published_layout(folder)
    tokenizer = load_tokenizer(folder)
    name: LayoutName = "tessera"
    if found is None:
        reading = own.read_config(folder)
        _check_added(folder, tokenizer, reading.family.declaration)
    else:
        architecture, name, layout = found
        _check_added(folder, tokenizer, architecture)
        reading = _read(folder, layout, tokenizer, keys)
    tokenizer, notes = _with_rows(folder, tokenizer, reading.family)
    reading = replace(reading, notes=(*reading.notes, *notes))
    card_file = folder / CARD_FILE
    if not reading.card and card_file.is_file():
        reading = replace(reading, card=read_object(card_file))
    return Description(**vars(reading), tokenizer=tokenizer, layout=name)


def _read(folder: Path, layout: PublishedLayout, tokenizer: Tokenizer, keys: StoredKeys) -> Reading:
    """config.json; a value of it that no model can have is told with the file's name."""
    try:
        return layout.read_config(folder, tokenizer, keys)
    except ValidationError as error:
        fault = f"{folder / CONFIG_FILE}: {first_fault(error)}"
        raise ValueError(f"{fault}; fetch the config again, or mend the value") from error


def _check_added(folder: Path, tokenizer: Tokenizer, architecture: Architecture) -> None:
    if missing := [token for token in architecture.tokens.all if not tokenizer.has_token(token)]:
        raise ValueError(
            f"{folder}: the tokenizer lacks {' '.join(missing)}: these are the files of the language model "
            "alone; fetch the checkpoint's own, or add the tokens with Tokenizer.with_added() and resize the "
            "embeddings"
        )


def _with_rows(folder: Path, tokenizer: Tokenizer, family: Family) -> tuple[Tokenizer, tuple[str, ...]]:
    """The tokenizer without tokens that the model has no row for, and a note about them.

    transformers adds a `<video>` that only its processor needs. ValueError when a prompt needs such a token,
    and when tokenizer and model mean different ids.
    """
    rows, template = family.model.decoder.vocab_size, family.chat_template
    beyond = [token for token in tokenizer.added.values() if token.id >= rows]
    wanted = {
        *template.tokens.all,
        *(() if isinstance(family.content_tokens, str) else family.content_tokens),
    }
    needed = [t for t in beyond if t.text in wanted or t.text in template.frame or t.id == tokenizer.bos_id]
    kept = tokenizer.without(token.text for token in beyond) if beyond else tokenizer
    if needed or kept.vocab_size > rows:
        raise ValueError(
            f"{folder}: the tokenizer has {tokenizer.vocab_size} tokens but the model's vocab_size is {rows}"
            f"{f', and prompts need {needed[0].text}' if needed else ''}: "
            "the tokenizer files belong to another checkpoint"
        )
    context, image_token = template.tokens.context, family.model.image_token_id
    if (found := kept.token_id(context)) != image_token:
        raise ValueError(
            f"{folder}: {context} is token {found} but the config's image_token_id is {image_token}: "
            "the tokenizer files belong to another checkpoint"
        )
    if not beyond:
        return kept, ()
    names = shown(", ".join(token.text for token in beyond), bare=True)
    return kept, (
        f"{folder}: the tokenizer has {counted(len(beyond), 'token')} without a row in the model, "
        f"taken as text: {names}; `tessera convert --add-tokens` gives rows",
    )
