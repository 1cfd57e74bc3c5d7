"""One page about a released model: parts, prompt, files, licences, and what it takes to run it."""

from collections.abc import Iterator, Mapping
from math import ceil

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tessera.chat.frame_labels import FRAME_LABELS
from tessera.families.entry import Component, Entry, Released
from tessera.models.accounting import Stored, kv_cache_bytes_per_token
from tessera.models.config import VLMConfig

GPUS = (8, 12, 16, 24, 32, 48, 80, 141)
"""Memory of the devices that a suggestion may name, in GB."""
LARGEST_COMMON = 80
WORKING_GB = 1.5
"""Set aside for activations and the runtime, next to weights and cache."""
CONTEXT = 8192
"""Tokens of conversation that a suggestion allows for."""

TOKENIZER_FILES = {
    "byte-level BPE": "vocab.json and merges.txt, or tokenizer.json",
    "SentencePiece": "tokenizer.model",
}
TOKENIZER_SETTINGS = "added_tokens.json, special_tokens_map.json, tokenizer_config.json"
TRANSFORMERS_FILES = (
    "config.json (InternVLForConditionalGeneration), model-*.safetensors with their index, tokenizer.json, "
    "preprocessor_config.json"
)
PART_NAMES = {"vision": "ViT", "decoder": "language model"}
LICENSED = {"vision": "ViT, connector", "language_model": "language model"}
Rows = Iterator[tuple[str, str]]


def show_page(one: Released, console: Console) -> None:
    """Print the page."""
    console.print(f"[bold]{one.name}[/]   generation {one.generation}, {one.kind}", highlight=False)
    _show({"Parts": _parts(one)}, console)
    if isinstance(one, Entry):
        _show({"Pictures": _pictures(one)}, console)
        console.print("\n[bold]Prompt[/]  [dim](a picture of the most squares; × means repetition)[/]")
        prompt = prompt_example(one).rstrip("\n")
        console.print(prompt, markup=False, highlight=False, soft_wrap=True, style="cyan")
    below = {
        "Files": _files(one),
        "Licences": _licences(one),
        "To run it": _running(one),
        "Notes": _notes(one),
    }
    _show(below, console)


def _show(sections: Mapping[str, Rows], console: Console) -> None:
    for title, rows in sections.items():
        grid = Table.grid(padding=(0, 2), pad_edge=True)
        grid.add_column(min_width=15, style="dim", no_wrap=True)
        grid.add_column()
        for left, right in rows:
            grid.add_row(left, escape(right))
        if grid.row_count:
            console.print(f"\n[bold]{title}[/]")
            console.print(grid, highlight=False)


def prompt_example(entry: Entry) -> str:
    """A question about one picture as this model reads it, placeholders counted instead of written out."""
    template = entry.chat_template
    tokens = template.tokens
    count = entry.picture_tokens - bool(tokens.start) - bool(tokens.end)
    picture = f"{tokens.start}{tokens.context}×{count}{tokens.end}"
    opening = f"{template.system_prefix}{template.system_text}{template.system_end}"
    question = f"{template.user_prefix}{picture}\nDescribe the picture.{template.user_end}"
    return f"{entry.language.bos}{opening}{question}{template.assistant_prefix}"


def suggest_device(gigabytes: float) -> str:
    """The smallest common GPU that holds so many GB, or how many of 80 GB."""
    if gigabytes <= GPUS[-1]:
        return f"one GPU of {next(size for size in GPUS if gigabytes <= size)} GB"
    count = ceil(gigabytes / LARGEST_COMMON)
    return f"{count} GPUs of {LARGEST_COMMON} GB (device_map='split')"


def _parts(one: Released) -> Rows:
    counts, named = one.parameters(), {}
    if isinstance(one, Entry):
        language = f"{one.language.name} ({one.model.decoder.architecture} files): "
        named = {"vision": f"{one.vision.name}: ", "decoder": language}
    for part, described in one.model.describe_parts().items():
        yield PART_NAMES.get(part, part), f"{named.get(part, '')}{_count(counts[part])}, {described}"
    if isinstance(one, Entry):
        yield from _text(one)
    figures = {name.replace("decoder", "language model"): f for name, f in one.published.parts().items()}
    published = ", ".join(f"{name} {figure}B" for name, figure in figures.items())
    met = one.active if isinstance(one, Entry) else counts["total"]
    active = f", {_count(met)} for a token" if met < counts["total"] else ""
    yield (
        "parameters",
        f"{_count(counts['total'])}{active}; published: {published} ({one.published.source})",
    )


def _text(entry: Entry) -> Rows:
    decoder, language = entry.model.decoder, entry.language
    context = entry.chat_template.tokens.context
    vocabulary = f"{decoder.vocab_size:,} rows, {language.tokenizer}; {context} is {language.image_token}"
    yield "vocabulary", vocabulary
    scaling = decoder.rope_scaling
    stretched = f", {scaling.kind} scaling × {scaling.factor:g}" if scaling else ""
    base = f"rotary base {decoder.rope_theta:,.0f}"
    yield "positions", f"{decoder.max_position_embeddings:,}, {base}{stretched}"


def _pictures(entry: Entry) -> Rows:
    side = entry.model.tile_side
    cut = f"1 to {entry.tiling.max_tiles} squares of {side} px by shape and size, then the whole as one more"
    how = {"squeeze": "squeezed into", "pad": "padded to", "crop": "cropped to"}[entry.tiling.square]
    yield "cut into", cut if entry.tiling.dynamic else f"every picture {how} one square of {side} px"
    tokens = entry.chat_template.tokens
    around = f" with {tokens.start} and {tokens.end}" if tokens.start else ""
    most = f"at most {entry.picture_tokens:,} a picture{around}"
    yield "tokens", f"{_each(entry)} a square; {most}"
    label = f"{FRAME_LABELS[entry.frame_label]!r} ({entry.frame_label})"
    yield "video frames", f"one square each, behind {label}"
    stops = " or ".join(entry.chat_template.stops)
    yield "template", f"{entry.template}; answers end with {stops}"


def _each(entry: Entry) -> str:
    model = entry.model
    routed = isinstance(model, VLMConfig) and model.resolution is not None
    few = f" or, where the router says so, {model.coarse_tokens}" if routed else ""  # type: ignore[attr-defined]
    return f"{entry.tokens_per_tile}{few}"


def _files(one: Released) -> Rows:
    missing = " (not found in public)" if "repository" in one.unverified else ""
    weights = f"config.json, {one.weight_files} with their index"
    if not isinstance(one, Entry):
        yield "official", f"{one.hub}{missing}: {weights}"
        return
    tokenizer = f"{TOKENIZER_FILES[one.language.tokenizer]}, {TOKENIZER_SETTINGS}"
    yield "official", f"{one.hub}{missing}: {weights}, {tokenizer}"
    if "transformers" in one.layouts:
        yield "transformers", f"{one.layouts['transformers']}: {TRANSFORMERS_FILES}"


def _licences(one: Released) -> Rows:
    yield "repository", one.card_licence or "not checked: see its model card"
    for part, licence in one.licences.items():
        yield LICENSED.get(part, part), licence


def _running(one: Released) -> Rows:
    cache = kv_cache_bytes_per_token(one.model) if isinstance(one, Entry) else 0
    kinds: dict[Stored, str] = {"bf16": "", "int8": " (connector, head and embeddings stay in bf16)"}
    for kind, words in kinds.items():
        weights = one.bytes_to_load(kind) / 1e9
        whole = weights + cache * CONTEXT / 1e9 + WORKING_GB
        places = f"{suggest_device(whole)}, or a CPU with {whole:.0f} GB free"
        yield f"weights {kind}", f"{weights:.1f} GB{words if cache else ''}: {places}"
    if isinstance(one, Entry):
        size = f"{cache * 1000 / 1e6:,.0f} MB per 1,000 tokens"
        yield "cache", f"{size}; the suggestions allow for {CONTEXT:,} tokens"
        yield "try", f'tessera chat PICTURE --model {one.name} "Describe the picture."'
    elif isinstance(one, Component):
        yield "try", one.use


def _notes(one: Released) -> Rows:
    for note in one.notes:
        yield "", note
    if one.doubts:
        yield "unverified", f"{'; '.join(one.doubts)} (a checkpoint's own config.json is what counts)"


def _count(parameters: int) -> str:
    """A number of weights in words: 304.0M, 7.74B."""
    return f"{parameters / 1e9:.2f}B" if parameters >= 1e9 else f"{parameters / 1e6:.1f}M"
