"""Key tables: how the published layout, and a Whisper alone, name the parts of sounds."""

from collections.abc import Collection, Iterator

from tessera.families.keymap import KeyMap, KeyRule, renamed
from tessera.models.config import DecoderConfig

BLOCK = "audio.layers.#."
ROOTS = ("audio_model.", "audio_model.encoder.")
"""Where the encoder may lie in a whole checkpoint; the first is written."""
ALONE = ("model.encoder.", "encoder.", "")
"""Where it lies in a Whisper of transformers, whole or its encoder alone."""


def audio_rules(root: str) -> list[KeyRule]:
    """Whisper's encoder under `root`, and the MLP behind it (`mlp2`)."""
    theirs = f"{root}layers.#."
    rows = {
        f"{BLOCK}attn.proj.": f"{theirs}self_attn.out_proj.",
        f"{BLOCK}attn.": f"{theirs}self_attn.",
        f"{BLOCK}norm1.": f"{theirs}self_attn_layer_norm.",
        f"{BLOCK}norm2.": f"{theirs}final_layer_norm.",
        f"{BLOCK}mlp.": theirs,
        "audio.conv1.": f"{root}conv1.",
        "audio.conv2.": f"{root}conv2.",
        "audio.positions": f"{root}embed_positions.weight",
        "audio.norm.": f"{root}layer_norm.",
        "audio_connector.norm.": "mlp2.0.",
        "audio_connector.linear_1.": "mlp2.1.",
        "audio_connector.linear_2.": "mlp2.3.",
    }
    return renamed(rows)


def root_in(keys: Collection[str]) -> str:
    """The root under which files with these keys hold the encoder."""
    return next((root for root in reversed(ROOTS) if any(key.startswith(root) for key in keys)), ROOTS[0])


def part_tables(part: str, decoder: DecoderConfig | None, keys: Collection[str]) -> Iterator[KeyMap]:
    """The parts of sounds in a whole checkpoint, and Whisper's encoder in a folder of its own."""
    if part in ("audio", "audio_connector"):
        for root in (*ROOTS, *ALONE):
            yield KeyMap(audio_rules(root))


CARD_NAMES = (("audio_model", "audio"), ("mlp2", "audio_connector"))
"""(prefix in the model cards' device maps, own prefix), beside InternVL's."""
