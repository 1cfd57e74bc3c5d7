"""InternOmni in the layout of its release, written here by hand: opened, heard, saved back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from tessera.audio.mel import LogMel, log_mel
from tessera.chat.tokenizer import Tokenizer, load_tokenizer
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.save import save_checkpoint
from tessera.checkpoints.shipped import shipped_folder
from tessera.families.catalogue import get_entry, get_family, identify
from tessera.families.family import Family
from tessera.models.initialise import initialise
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed

SOUNDS = ("<audio>", "</audio>", "<AUDIO_CONTEXT>")
WHISPER = {
    "model_type": "whisper",
    "d_model": 32,
    "num_mel_bins": 16,
    "encoder_layers": 2,
    "encoder_attention_heads": 4,
    "encoder_ffn_dim": 48,
    "decoder_layers": 1,
    "decoder_attention_heads": 2,
    "max_source_positions": 100,
    "activation_function": "gelu",
    "scale_embedding": False,
}


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return load_tokenizer(shipped_folder("tokenizer")).with_added(SOUNDS)


def released(folder: Path, tokenizer: Tokenizer, root: str) -> dict[str, torch.Tensor]:
    """A folder as other people write it: InternVL's part by us, that of sounds by transformers."""
    transformers = pytest.importorskip("transformers")
    family = get_family("nano_model").fitted(tokenizer)
    model = VLM(family.model)
    initialise(model, 3)
    save_checkpoint(folder, model, family, tokenizer, "official")
    torch.manual_seed(0)
    encoder = transformers.WhisperModel(transformers.WhisperConfig(**WHISPER)).encoder
    weights = {f"{root}{name}": tensor.clone() for name, tensor in encoder.state_dict().items()}
    shapes = {"0.weight": (32,), "0.bias": (32,), "1.weight": (32, 32), "1.bias": (32,)}
    shapes |= {"3.weight": (32, 32), "3.bias": (32,)}
    weights |= {f"mlp2.{name}": torch.randn(shape) * 0.2 for name, shape in shapes.items()}
    save_file(weights, folder / "model-audio.safetensors")
    merge_shards(folder)
    config = json.loads((folder / "config.json").read_text())
    del config["tessera"]
    config |= {"architectures": ["InternVLChatAudioModel"], "audio_config": WHISPER}
    (folder / "config.json").write_text(json.dumps(config))
    return weights


def merge_shards(folder: Path) -> None:
    """One file of all tensors, as small checkpoints are."""
    whole: dict[str, torch.Tensor] = {}
    for file in list(folder.glob("*.safetensors")):
        whole |= load_file(file)
        file.unlink()
    (folder / "model.safetensors.index.json").unlink(missing_ok=True)
    save_file(whole, folder / "model.safetensors")


def sound(seconds: float) -> LogMel:
    samples = np.random.default_rng(0).standard_normal(round(seconds * 16_000)).astype(np.float32)
    return log_mel(0.1 * samples, 16, 200)


def heard(weights: dict[str, torch.Tensor], states: torch.Tensor) -> torch.Tensor:
    """`mlp2` written out."""
    x = F.layer_norm(states, (32,), weights["mlp2.0.weight"], weights["mlp2.0.bias"])
    x = F.gelu(F.linear(x, weights["mlp2.1.weight"], weights["mlp2.1.bias"]))
    return F.linear(x, weights["mlp2.3.weight"], weights["mlp2.3.bias"])


def qwen2_audio(weights: dict[str, torch.Tensor], root: str, mel: torch.Tensor, states: int) -> torch.Tensor:
    """States [states // 2, 32] of transformers' encoder that pools, under a mask."""
    from transformers import Qwen2AudioEncoderConfig
    from transformers.models.qwen2_audio.modeling_qwen2_audio import Qwen2AudioEncoder

    names = ("d_model", "num_mel_bins", "encoder_layers", "encoder_attention_heads", "encoder_ffn_dim")
    sizes = {name: WHISPER[name] for name in (*names, "max_source_positions")}
    theirs = Qwen2AudioEncoder(Qwen2AudioEncoderConfig(**sizes)).eval()
    own = {k.removeprefix(root): v for k, v in weights.items() if k.startswith(root)}
    theirs.load_state_dict(own)
    padded = torch.arange(100) >= states
    bias = torch.zeros(1, 1, 100, 100).masked_fill(padded, float("-inf"))
    out: torch.Tensor = theirs(mel[None], attention_mask=bias).last_hidden_state[0, : states // 2]
    return out


@pytest.mark.parametrize("root", ["audio_model.", "audio_model.encoder."])
def test_a_released_folder_opens_and_hears(tmp_path: Path, tokenizer: Tokenizer, root: str) -> None:
    weights = released(tmp_path / "omni", tokenizer, root)
    loaded = load_checkpoint(tmp_path / "omni")
    assert loaded.family.architecture == "omni" and loaded.layout == "official"
    assert "Whisper 2×32" in loaded.summary
    one = sound(1.235)
    with torch.no_grad():
        features = loaded.model.hear([one])
        states = qwen2_audio(weights, root, torch.from_numpy(one.whole(200)), (one.frames + 1) // 2)
        torch.testing.assert_close(features, heard(weights, states), atol=1e-5, rtol=1e-5)
    check_stream(loaded, one, features)


def check_stream(loaded: Loaded, one: LogMel, features: torch.Tensor) -> None:
    """The decoder reads the features where the placeholders stand, and nothing else changes."""
    hearing = loaded.model.config.hearing
    assert hearing is not None
    count = hearing.audio.tokens(one.frames)
    assert len(features) == count
    ids = torch.tensor([5, *[hearing.token_id] * count, 7])
    with torch.no_grad():
        hidden = loaded.model(ids, Packed((len(ids),)), sounds=[one])
        embedded = loaded.model.decoder.embed(ids)
        embedded[1:-1] = features
        torch.testing.assert_close(hidden, loaded.model.decoder(embedded, Packed((len(ids),))))
        torch.testing.assert_close(hidden, loaded.model(ids, Packed((len(ids),)), heard=features))
    with pytest.raises(ValueError, match=rf"{count} <AUDIO_CONTEXT> tokens .* but 0 features of sounds"):
        loaded.model(ids, Packed((len(ids),)))


@pytest.mark.parametrize("layout", ["official", "tessera"])
def test_saved_back_it_is_the_same(tmp_path: Path, tokenizer: Tokenizer, layout: Any) -> None:
    family = get_family("nano_omni").fitted(tokenizer)
    audio = family.model.audio.model_copy(update={"pool_before_norm": False})  # type: ignore[attr-defined]
    family = family.model_copy(update={"model": family.model.model_copy(update={"audio": audio})})
    model = VLM(family.model)
    initialise(model, 1)
    save_checkpoint(tmp_path / "a", model, family, tokenizer, layout)
    again = load_checkpoint(tmp_path / "a")
    assert again.family == family and not again.notes
    for (name, ours), (other, theirs) in zip(
        model.named_parameters(), again.model.named_parameters(), strict=True
    ):
        assert name == other
        torch.testing.assert_close(ours, theirs)
    if layout == "official":
        keys = load_file(next((tmp_path / "a").glob("*.safetensors"))).keys()
        heads = {key.partition(".")[0] for key in keys}
        assert heads == {"audio_model", "mlp2", "vision_model", "mlp1", "language_model"}
        assert {"mlp2.0.bias", "mlp2.1.weight", "mlp2.3.weight", "audio_model.conv1.weight"} <= set(keys)


def test_a_draw_is_a_function_of_its_seed(tokenizer: Tokenizer) -> None:
    family = get_family("nano_omni").fitted(tokenizer)
    models = [VLM(family.model), VLM(family.model)]
    for model in models:
        initialise(model, 7)
    for one, other in zip(*(model.parameters() for model in models), strict=True):
        torch.testing.assert_close(one, other)


def test_the_catalogue_has_it_to_a_percent() -> None:
    entry = get_entry("OpenGVLab/InternOmni")
    parts = entry.parameters()
    assert abs(parts["total"] / 8.7e9 - 1) < 0.01
    assert parts["audio_connector"] == 2 * 1280 + 1281 * 4096 + 4097 * 4096
    model = VLM(get_family("nano_omni").model)
    counted = get_family("nano_omni").model.part_weights()
    for name, part in model.named_children():
        assert counted[name].total == sum(p.numel() for p in part.parameters()), name
    assert identify(entry.family()) == entry
    assert {"audio.pool", "audio.pool_before_norm", "audio.mask_padding"} <= set(entry.doubts)


def test_what_is_missing_or_odd_is_named(tmp_path: Path, tokenizer: Tokenizer) -> None:
    folder = tmp_path / "omni"
    released(folder, tokenizer, "audio_model.")
    config = json.loads((folder / "config.json").read_text())

    def refused(words: str, **changes: object) -> None:
        odd = config | {"audio_config": WHISPER | changes}
        (folder / "config.json").write_text(json.dumps(odd))
        with pytest.raises(ValueError, match=words):
            load_checkpoint(folder)

    refused("audio_config.scale_embedding.*not supported", scale_embedding=True)
    refused("audio_config.*d_model", d_model="wide")
    refused("audio_model.layers.1.* fit no part", encoder_layers=1)
    refused(r"audio_model.conv1.weight.*\(32, 16, 3\) but the config asks for \(32, 80, 3\)", num_mel_bins=80)


def test_a_tokenizer_without_sounds_is_told(tmp_path: Path, tokenizer: Tokenizer) -> None:
    folder = tmp_path / "omni"
    released(folder, tokenizer, "audio_model.")
    load_tokenizer(shipped_folder("tokenizer")).save(folder)
    with pytest.raises(ValueError, match="the tokenizer lacks <audio> </audio> <AUDIO_CONTEXT>"):
        load_checkpoint(folder)


def test_a_model_without_ears_refuses_sounds() -> None:
    model = VLM(get_family("nano_model").model)
    with pytest.raises(ValueError, match="does not hear; open one that does, such as InternOmni"):
        model.embed(torch.tensor([1]), sounds=[sound(1.0)])


def test_settings_reach_the_encoder(tokenizer: Tokenizer) -> None:
    family: Family = get_family("nano_omni").fitted(tokenizer)
    encoder = family.encoder(tokenizer)
    hearing = family.model.hearing
    assert encoder.hearing is not None and hearing is not None
    assert encoder.hearing.count(300) == hearing.audio.tokens(300) == 75
