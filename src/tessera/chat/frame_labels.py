"""The words before a video frame, by name: engines and even the authors' own files differ
(docs/facts/imaging.md)."""

FRAME_LABELS: dict[str, str] = {
    "training": "Frame-{index}: ",
    "cards": "Frame{index}: ",
    "spaced": "Frame {index}: ",
    "none": "",
}
"""Name to pattern, `{index}` from 1; every frame stands on its own line.

`training`: the supervised fine-tuning and pre-training code, VLMEvalKit and the repository's front page.
`cards`: the model cards' `load_video` example, the MPO trainer, MVBench's script, transformers and vLLM.
`spaced`: SGLang. `none`: bare frames.
"""


def frame_pattern(choice: str) -> str:
    """The pattern of a name of `FRAME_LABELS`, or of a pattern that holds `{index}` itself.

    Raises ValueError when it is neither.
    """
    if choice in FRAME_LABELS:
        return FRAME_LABELS[choice]
    if choice and "{index}" not in choice:
        raise ValueError(
            f"frame_label: {choice!r} is no name ({', '.join(FRAME_LABELS)}) and holds no '{{index}}'; "
            "take a name, or write a pattern like 'Frame-{index}: '"
        )
    return choice
