"""Words of other people's calls, and what says the same here."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from tessera.runtime.shown import shown

_AT_LOAD = "say it when the model is opened: tessera.load(..., {}=...)"
_ENTRIES = "give its entries as keywords: chat(question, **generation_config)"
_UNNEEDED = "not needed here; leave it out"
CHAT: Mapping[str, str] = {
    **dict.fromkeys(("image", "images", "img", "picture", "pixel_values"), "give pictures=..."),
    **dict.fromkeys(("video", "clips", "clip"), "give videos=..."),
    **dict.fromkeys(("messages", "prompt", "text", "query"), "give it as the question, the first argument"),
    "generation_config": _ENTRIES,
    "generation_kwargs": _ENTRIES,
    "sampling_params": _ENTRIES,
    **dict.fromkeys(("max_tokens", "max_length", "max_completion_tokens"), "give max_new_tokens=..."),
    **dict.fromkeys(("stop_strings", "stop_words", "stop_sequences"), "give stop=..."),
    **dict.fromkeys(("system_prompt", "system_message"), "give system=..."),
    **dict.fromkeys(("max_num", "max_dynamic_patch", "max_patches"), "give max_tiles=..."),
    **dict.fromkeys(
        ("num_frames", "num_segments", "frames", "nframes", "fps"),
        "give tessera.Video(file, frames=..., fps=...) as videos=",
    ),
    **dict.fromkeys(("streamer", "stream"), "call model.stream(question, ...)"),
    "add_generation_prompt": "chat always asks for an answer; leave it out",
    "torch_dtype": _AT_LOAD.format("dtype"),
    **{
        name: _AT_LOAD.format(name)
        for name in ("dtype", "device", "device_map", "content_tokens", "frame_label")
    },
    "tokenizer": "the model has its own; leave it out",
}
"""Keyword of a chat call -> what to write."""
LOAD: Mapping[str, str] = {
    "torch_dtype": "give dtype=...",
    "quantization_config": "give load_in_8bit=True or load_in_4bit=True, or open the model as it is stored",
    **dict.fromkeys(
        ("model", "path", "model_name", "pretrained_model_name_or_path"), "give it first, unnamed"
    ),
    **dict.fromkeys(("trust_remote_code", "low_cpu_mem_usage", "use_fast", "use_safetensors"), _UNNEEDED),
    **dict.fromkeys(("use_flash_attn", "attn_implementation"), "the fastest kernel is chosen; leave it out"),
    "cache_dir": "set HF_HUB_CACHE instead",
    "local_files_only": "set HF_HUB_OFFLINE=1 instead",
    "revision": "download that revision, and give its folder",
}
"""Keyword of `tessera.load` -> what to write."""


def unknown_setting(
    name: str, value: Any, known: Iterable[str], hints: Mapping[str, str] = CHAT
) -> ValueError:
    """The error for a keyword that is none: what says the same here, else the nearest names."""
    choices = sorted(known)
    near = get_close_matches(name, choices, 1, cutoff=0.75)
    hint = hints.get(name) or (f"did you mean {near[0]}?" if near else f"choose from {', '.join(choices)}")
    return ValueError(f"{name} = {shown(value)}: no such setting; {hint}")
