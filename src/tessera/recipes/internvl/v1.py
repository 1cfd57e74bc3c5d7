"""InternVL 1.0 to 1.5 with its Mini models: pre-training, then tuning on instructions.

`stages("1.5", "26B")` gives both stages; 1.1 and 1.2 have one size each, 19B and 40B; 1 is 1.0 in LLaVA's
form. The 40B of 1.5 (with Yi-34B) was described and not published. Source: docs/facts/recipes.md, InternVL 1,
and docs/facts/llava.md.
"""

from dataclasses import dataclass

from tessera.recipes.internvl.stage import PARTS, Data, Part, PublishedStage, parts_of

BLOG_1_1 = "internvl.github.io/blog/2024-01-24-InternVL-1.1"
CARD_1_2 = "model card of OpenGVLab/InternVL-Chat-V1-2"
LLAVA = "OpenGVLab/InternVL internvl_chat_llava/scripts_internvl"
SHELL = "OpenGVLab/InternVL internvl_chat/shell"
VIT: tuple[Part, ...] = ("vision", "connector")
MIXTURE_1_5 = (Data("pre-training mixture of 1.5: captions, OCR, detection, grounding"),)
INSTRUCTIONS_1_5 = (Data("instruction mixture of 1.5: 5.1M samples"),)


@dataclass(frozen=True)
class SizeOf1_5:
    """What differs between the sizes of 1.5."""

    model: str
    trained: tuple[Part, ...]
    """In pre-training; tuning trains everything."""
    rates: tuple[float, float]
    """Of pre-training and of tuning."""
    decay: float
    drop_paths: tuple[float, float]
    length: int
    """In tuning; pre-training has 4,096."""
    gpus: str = ""
    notes: tuple[str, ...] = ()


SIZES = {
    "26B": SizeOf1_5("InternVL-Chat-V1-5", VIT, (1e-5, 2e-5), 0.05, (0.2, 0.4), 4096, "256 GPUs"),
    "40B": SizeOf1_5(
        "InternVL-Chat-V1-5-Plus",
        ("connector",),
        (1e-4, 2e-5),
        0.05,
        (0.0, 0.4),
        4096,
        notes=("the authors began with a trained connector; here it is fresh",),
    ),
    "2B": SizeOf1_5("Mini-InternVL-Chat-2B-V1-5", VIT, (2e-5, 4e-5), 0.01, (0.1, 0.1), 8192, "128 GPUs"),
    "4B": SizeOf1_5("Mini-InternVL-Chat-4B-V1-5", ("connector",), (2e-4, 4e-5), 0.05, (0.0, 0.1), 8192),
}


CHAT_1_0 = {
    size: f"InternVL-Chat-ViT-6B-Vicuna-{name}"
    for size, name in {"7B": "7B", "13B": "13B", "13B_448PX": "13B-448px"}.items()
}
"""Of 1.0 without QLLaMA (docs/facts/llava.md)."""


def stages(version: str, size: str) -> tuple[PublishedStage, ...]:
    """Pre-training and tuning of a size. KeyError for another one."""
    if version == "1":
        return _version_1_0(CHAT_1_0[size])
    other = {("1.1", "19B"): _version_1_1, ("1.2", "40B"): _version_1_2}
    return _version_1_5(SIZES[size]) if version == "1.5" else other[version, size]()


def _version_1_5(row: SizeOf1_5) -> tuple[PublishedStage, ...]:
    first = PublishedStage(
        row.model,
        "pretrain",
        row.trained,
        row.rates[0],
        row.decay,
        row.drop_paths[0],
        2048,
        4096,
        MIXTURE_1_5,
        f"{SHELL}/internvl1.5",
        warmup=100,
        hardware=row.gpus,
        notes=row.notes,
        **parts_of(row.model),
    )
    change = {"trained": PARTS, "rate": row.rates[1], "drop_path": row.drop_paths[1], "length": row.length}
    rest = {"batch": 1024, "warmup": 0.03, "data": INSTRUCTIONS_1_5, "hardware": ""}
    return first, first.then("finetune", **change, **rest)


def _version_1_0(model: str) -> tuple[PublishedStage, ...]:
    """LLaVA 1.5's two stages; the ViT stays as it is in both."""
    size = next(size for size, name in CHAT_1_0.items() if name == model)
    first = PublishedStage(
        model,
        "pretrain",
        ("connector",),
        1e-3,
        0.0,
        0.0,
        256,
        2048,
        (Data("558K captions of LAION, CC and SBU by BLIP (LLaVA-Pretrain)"),),
        LLAVA,
        picture_tiles=1,
        template="plain",
        square="crop",
        folder=f"internvl_1/{size.lower()}",
        hardware="8 GPUs",
        **parts_of(model),
    )
    talks = (Data("665K talks of LLaVA 1.5's mixture (llava_v1_5_mix665k.json)"),)
    change = {"trained": ("connector", "decoder"), "rate": 2e-5, "batch": 128, "template": "", "square": ""}
    return first, first.then("finetune", **change, data=talks)


def _version_1_2() -> tuple[PublishedStage, ...]:
    model = "InternVL-Chat-V1-2"
    captions = (Data("39.3M samples: COYO, LAION, CC12M, CC3M, SBU, Wukong, GRIT, Objects365, OCR"),)
    first = PublishedStage(
        model,
        "pretrain",
        VIT,
        1e-5,
        0.05,
        0.2,
        8192,
        2048,
        captions,
        CARD_1_2,
        steps=4800,
        picture_tiles=1,
        warmup=100,
        unverified=("rate", "decay", "drop_path", "length", "warmup"),
        **parts_of(model),
    )
    talks = "1.2M samples: ShareGPT4V, LLaVA-ZH, DVQA, ChartQA, AI2D, DocVQA, GeoQA+, SynthDoG-EN"
    change = {"trained": PARTS, "drop_path": 0.4, "batch": 512, "steps": None, "warmup": 0.03}
    rest = {"source": f"{SHELL}/internvl1.2", "hardware": "64 GPUs", "unverified": ()}
    return first, first.then("finetune", **change, **rest, data=(Data(talks),))


def _version_1_1() -> tuple[PublishedStage, ...]:
    model = "InternVL-Chat-V1-1"
    captions = "72M samples: COYO, LAION, CC12M, CC3M, SBU, Wukong, GRIT, Objects365, OpenImages, OCR"
    first = PublishedStage(
        model,
        "pretrain",
        VIT,
        1e-5,
        0.05,
        0.2,
        2048,
        2048,
        (Data(captions),),
        BLOG_1_1,
        picture_tiles=1,
        warmup=100,
        vision="OpenGVLab/InternViT-6B-224px",
        notes=("its position embedding is resized to 448 px",),
        unverified=("rate", "decay", "drop_path", "batch", "length", "warmup"),
    )
    talks = (Data("6M samples: open instruction data, and their Chinese translations"),)
    change = {"trained": ("connector", "decoder"), "rate": 2e-5, "drop_path": 0.0, "batch": 1024}
    return first, first.then("finetune", **change, data=talks, warmup=0.03)
