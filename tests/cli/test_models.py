"""`tessera models`: a table that fits, pages that tell the truth, JSON, and help with wrong names."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import PIL.Image
import pytest

from tessera.chat.message import Conversation, ask
from tessera.chat.tokenizer import load_tokenizer
from tessera.cli.main import main
from tessera.cli.model_page import prompt_example, suggest_device
from tessera.families.catalogue import entries, get_entry, released

Run = Callable[..., str]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: str) -> str:
        assert main(["models", *arguments]) == 0
        return capsys.readouterr().out

    return call


def test_the_table_has_every_model_and_fits(run: Run) -> None:
    printed = run()
    assert max(map(len, printed.splitlines())) <= 100
    for entry in entries():
        assert entry.base in printed and entry.suffix in printed
        assert entry.language.name in printed, "cut off"
    assert f"{len(released())} models" in printed
    line = next(line for line in printed.splitlines() if line.startswith("InternVL2-26B "))
    cells = "InternVL2-26B 2 6B internlm2-chat-20b 25.5B internlm2-chat 1-12 51.0 26.8"
    assert line.split() == cells.split()


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--generation", "1.1", "llama"], ["InternVL-Chat-V1-1"]),
        (
            ["--generation", "2.0", "--max-params", "1"],
            ["InternVL2-1B", "1B-DA-BDD", "1B-DA-RS"],
        ),
        (["qwen3", "--max-params", "2"], ["InternVL3_5-1B"]),
        (["phi-3", "DA", "medical"], ["Mini-InternVL2-4B-DA-Medical"]),
        (["InternVL2_5-26"], ["InternVL2_5-26B", "InternVL2_5-26B-MPO"]),
    ],
)
def test_filters(run: Run, arguments: list[str], names: list[str]) -> None:
    found = [entry["name"] for entry in json.loads(run(*arguments, "--json"))]
    assert all(any(name in one for one in found) for name in names)
    shown = re.search(r"(\d+) models?\.", run(*arguments))
    assert shown is not None and int(shown[1]) == len(found)
    if len(names) == 1:
        assert {re.sub("-(Instruct|Pretrained|MPO|Flash)$", "", name) for name in found} == set(names)


def test_the_page_of_a_model(run: Run) -> None:
    page = run("InternVL2_5-8B")
    flat = " ".join(page.split())
    for words in (
        "InternViT-300M-448px-V2_5: 304.0M, 24 layers of 1024 channels",
        "internlm2_5-7b-chat (internlm2 files): 7.74B, 32 layers of 4096 channels",
        "92,553 rows, SentencePiece; <IMG_CONTEXT> is 92546",
        "8.08B; published: vision 0.304B, total 8.1B",
        "1 to 12 squares of 448 px",
        "256 a square; at most 3,330 a picture",
        "OpenGVLab/InternVL2_5-8B: config.json, model-*.safetensors",
        "tokenizer.model",
        "ViT, connector MIT",
        "InternLM licence",
        "weights bf16 16.2 GB: one GPU of 24 GB",
        "131 MB per 1,000 tokens",
    ):
        assert words in flat, words
    assert prompt_example(get_entry("InternVL2_5-8B")).rstrip("\n") in page, "the prompt stands unbroken"


def test_a_page_names_what_is_special(run: Run) -> None:
    early = " ".join(run("InternVL-Chat-V1-1").split())
    assert "pickles, read in weights-only mode" in early and "pixel shuffle v1" in early
    assert "every picture squeezed into one square" in early and "read at state -4" in early
    assert "unverified select_layer; ps_version; language.vocabulary" in early
    other = " ".join(run("OpenGVLab/InternVL3-1B-hf").split())
    assert "transformers OpenGVLab/InternVL3-1B-hf: config.json (InternVLForConditionalGeneration)" in other
    large = " ".join(run("InternVL3_5-38B").split())
    assert "76.8 GB: one GPU of 141 GB" in large and "Qwen3-32B (qwen3 files)" in large and "QK-norm" in large


@pytest.mark.parametrize(
    ("folder", "model"),
    [
        ("internvl3", "InternVL3-1B"),
        ("internlm2_internvl2", "InternVL2-8B"),
        ("yi", "InternVL2-40B"),
    ],
)
def test_the_prompt_is_what_the_encoder_writes(shared_data: Path, folder: str, model: str) -> None:
    """The example is put together without a tokenizer; a real one gives the same text."""
    entry = get_entry(model)
    tokenizer = load_tokenizer(shared_data / "tokenizers" / folder).with_added()
    encoder = entry.family().encoder(tokenizer)
    picture = PIL.Image.new("RGB", (1792, 1344))  # 4 x 3 squares and a thumbnail
    question = ask("Describe the picture.", [picture])
    written = encoder.render_text(Conversation((question,)), generate=True)
    assert written == prompt_example(entry).replace("×", "*")


def test_the_prompt_of_the_first_generation() -> None:
    """Empty system text and a space: `system + sep2`, then `<human>: ` (docs/facts/templates.md)."""
    prompt = prompt_example(get_entry("InternVL-Chat-V1-1"))
    assert prompt == "<s> <human>: <img><IMG_CONTEXT>×256</img>\nDescribe the picture. <bot>:"


def test_json_of_one_model(run: Run) -> None:
    found = json.loads(run("VisualPRM-8B", "--json"))
    assert found["parameters"]["total"] == get_entry("VisualPRM-8B").parameters()["total"]
    assert found["bytes"]["int8"] < found["bytes"]["bf16"] == 2 * found["parameters"]["total"]
    assert found["licences"]["vision"] == "MIT" and found["template"] == "internvl2_5"
    assert found["layouts"] == {"official": "OpenGVLab/VisualPRM-8B"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["InternVL25-8B"], "did you mean InternVL2_5-8B"),
        (["--generation", "4"], "choose one of 1, 1.1, 1.2, 1.5, 2, 2.5, 3, 3.5"),
        (["qwen3", "phi"], "no model has qwen3 and phi"),
        (["--max-params", "0.1"], "no model has this size"),
    ],
)
def test_mistakes_get_help(capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    assert main(["models", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_suggested_devices() -> None:
    assert suggest_device(5.1) == "one GPU of 8 GB"
    assert suggest_device(80.0) == "one GPU of 80 GB"
    assert suggest_device(160.0).startswith("2 GPUs of 80 GB")
    assert suggest_device(161.0).startswith("3 GPUs of 80 GB")
