"""One page about a released model: parts, prompt, files, licences, and what it takes to run it."""

from collections.abc import Iterator
from math import ceil

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tessera.chat.frame_labels import FRAME_LABELS
from tessera.chat.templates import get_template
from tessera.families.entry import Entry
from tessera.models.accounting import Stored, kv_cache_bytes_per_token

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
Rows = Iterator[tuple[str, str]]


def show_page(entry: Entry, console: Console) -> None:
    """Print the page."""
    console.print(f"[bold]{entry.name}[/]   generation {entry.generation}", highlight=False)
    sections = {
        "Parts": _parts(entry),
        "Pictures": _pictures(entry),
        "Files": _files(entry),
        "Licences": _licences(entry),
        "To run it": _running(entry),
        "Notes": _notes(entry),
    }
    for title, rows in sections.items():
        grid = Table.grid(padding=(0, 2), pad_edge=True)
        grid.add_column(min_width=15, style="dim", no_wrap=True)
        grid.add_column()
        for left, right in rows:
            grid.add_row(left, escape(right))
        if grid.row_count:
            console.print(f"\n[bold]{title}[/]")
            console.print(grid, highlight=False)
        if title == "Pictures":
            console.print("\n[bold]Prompt[/]  [dim](a picture of the most squares; × means repetition)[/]")
            prompt = prompt_example(entry).rstrip("\n")
            console.print(prompt, markup=False, highlight=False, soft_wrap=True, style="cyan")


def prompt_example(entry: Entry) -> str:
    """A question about one picture as this model reads it, placeholders counted instead of written out."""
    template = get_template(entry.template)
    picture = f"<img><IMG_CONTEXT>×{entry.picture_tokens - 2}</img>"
    opening = f"{template.system_prefix}{template.system_text}{template.system_end}"
    question = f"{template.user_prefix}{picture}\nDescribe the picture.{template.user_end}"
    return f"{entry.language.bos}{opening}{question}{template.assistant_prefix}"


def suggest_device(gigabytes: float) -> str:
    """The smallest common GPU that holds so many GB, or how many of 80 GB."""
    if gigabytes <= GPUS[-1]:
        return f"one GPU of {next(size for size in GPUS if gigabytes <= size)} GB"
    count = ceil(gigabytes / LARGEST_COMMON)
    return f"{count} GPUs of {LARGEST_COMMON} GB (device_map='split')"


def _parts(entry: Entry) -> Rows:
    counts = entry.parameters()
    named = {
        "vision": f"{entry.vision.name}: ",
        "decoder": f"{entry.language.name} ({entry.model.decoder.architecture} files): ",
    }
    for part, described in entry.model.describe_parts().items():
        yield PART_NAMES.get(part, part), f"{named.get(part, '')}{_count(counts[part])}, {described}"
    decoder, language = entry.model.decoder, entry.language
    vocabulary = f"{decoder.vocab_size:,} rows, {language.tokenizer}; <IMG_CONTEXT> is {language.image_token}"
    yield "vocabulary", vocabulary
    scaling = decoder.rope_scaling
    stretched = f", {scaling.kind} scaling × {scaling.factor:g}" if scaling else ""
    base = f"rotary base {decoder.rope_theta:,.0f}"
    yield "positions", f"{decoder.max_position_embeddings:,}, {base}{stretched}"
    named = {name.replace("decoder", "language model"): f for name, f in entry.published.parts().items()}
    published = ", ".join(f"{name} {figure}B" for name, figure in named.items())
    yield "parameters", f"{_count(counts['total'])}; published: {published} ({entry.published.source})"


def _pictures(entry: Entry) -> Rows:
    side = entry.model.tile_side
    cut = f"1 to {entry.tiling.max_tiles} squares of {side} px by shape and size, then the whole as one more"
    yield "cut into", cut if entry.tiling.dynamic else f"every picture squeezed into one square of {side} px"
    most = f"at most {entry.picture_tokens:,} a picture with <img> and </img>"
    yield "tokens", f"{entry.tokens_per_tile} a square; {most}"
    label = f"{FRAME_LABELS[entry.frame_label]!r} ({entry.frame_label})"
    yield "video frames", f"one square each, behind {label}"
    stops = " or ".join(get_template(entry.template).stops)
    yield "template", f"{entry.template}; answers end with {stops}"


def _files(entry: Entry) -> Rows:
    missing = " (not found in public)" if "repository" in entry.unverified else ""
    weights = f"config.json, {entry.weight_files} with their index"
    tokenizer = f"{TOKENIZER_FILES[entry.language.tokenizer]}, {TOKENIZER_SETTINGS}"
    yield "official", f"{entry.hub}{missing}: {weights}, {tokenizer}"
    if "transformers" in entry.layouts:
        yield "transformers", f"{entry.layouts['transformers']}: {TRANSFORMERS_FILES}"


def _licences(entry: Entry) -> Rows:
    yield "repository", entry.card_licence or "not checked: see its model card"
    yield "ViT, connector", entry.vision.licence
    yield "language model", entry.language.licence


def _running(entry: Entry) -> Rows:
    cache = kv_cache_bytes_per_token(entry.model)
    kinds: dict[Stored, str] = {"bf16": "", "int8": " (connector, head and embeddings stay in bf16)"}
    for kind, words in kinds.items():
        weights = entry.bytes_to_load(kind) / 1e9
        whole = weights + cache * CONTEXT / 1e9 + WORKING_GB
        places = f"{suggest_device(whole)}, or a CPU with {whole:.0f} GB free"
        yield f"weights {kind}", f"{weights:.1f} GB{words}: {places}"
    size = f"{cache * 1000 / 1e6:,.0f} MB per 1,000 tokens"
    yield "cache", f"{size}; the suggestions allow for {CONTEXT:,} tokens"
    yield "try", f'tessera chat PICTURE --model {entry.name} "Describe the picture."'


def _notes(entry: Entry) -> Rows:
    for note in entry.notes:
        yield "", note
    if entry.doubts:
        yield "unverified", f"{'; '.join(entry.doubts)} (a checkpoint's own config.json is what counts)"


def _count(parameters: int) -> str:
    """A number of weights in words: 304.0M, 7.74B."""
    return f"{parameters / 1e9:.2f}B" if parameters >= 1e9 else f"{parameters / 1e6:.1f}M"
