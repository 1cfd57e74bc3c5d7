"""Whisper's encoder: parity with transformers', lengths, and what silence behind a sound does to it."""

import numpy as np
import pytest
import torch

from tessera.audio.mel import LogMel, log_mel
from tessera.models.audio_encoder.config import AudioConfig
from tessera.models.audio_encoder.connector import AudioConnector
from tessera.models.audio_encoder.whisper import AudioEncoder

SIZES = {"d_model": 32, "encoder_layers": 2, "encoder_attention_heads": 4, "encoder_ffn_dim": 48}
SMALL = AudioConfig(**SIZES, num_mel_bins=16, max_source_positions=100)
THEIRS = {
    "self_attn_layer_norm": "norm1",
    "final_layer_norm": "norm2",
    "self_attn.out_proj": "attn.proj",
    "self_attn": "attn",
    "fc1": "mlp.fc1",
    "fc2": "mlp.fc2",
    "layer_norm": "norm",
    "embed_positions.weight": "positions",
}


def copied(theirs: torch.nn.Module, config: AudioConfig) -> AudioEncoder:
    """Our encoder with the weights of transformers'."""
    found = {}
    for name, tensor in theirs.state_dict().items():
        for old, new in THEIRS.items():
            if old in name:
                name = name.replace(old, new)
                break
        found[name] = tensor
    encoder = AudioEncoder(config).eval()
    encoder.load_state_dict(found)
    return encoder


def their_config(kind: str) -> object:
    import transformers

    build = {"whisper": transformers.WhisperConfig, "qwen2_audio": transformers.Qwen2AudioEncoderConfig}
    sizes = SIZES | {"decoder_layers": 1, "decoder_attention_heads": 2} if kind == "whisper" else SIZES
    return build[kind](**sizes, num_mel_bins=16, max_source_positions=100)


def drawn(config: AudioConfig, seed: int = 0) -> AudioEncoder:
    torch.manual_seed(seed)
    encoder = AudioEncoder(config).eval()
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return encoder


def sound(seconds: float, seed: int = 0) -> LogMel:
    samples = np.random.default_rng(seed).standard_normal(round(seconds * 16_000)).astype(np.float32)
    return log_mel(0.1 * samples, SMALL.num_mel_bins, SMALL.most_frames)


def padding_mask(lengths: list[int], states: int) -> torch.Tensor:
    """bool [N, states], true where there is padding, as the published code passes it."""
    return torch.arange(states) >= torch.tensor(lengths)[:, None]


def test_equal_to_whispers_encoder_without_pooling() -> None:
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    theirs = transformers.WhisperModel(their_config("whisper")).encoder.eval()
    ours = copied(theirs, SMALL.model_copy(update={"pool": 1, "mask_padding": False}))
    mel = torch.randn(2, 16, 200)
    with torch.no_grad():
        expected = theirs(mel).last_hidden_state.flatten(0, 1)
        torch.testing.assert_close(ours(mel, [200, 200]), expected, atol=1e-5, rtol=1e-5)


def test_equal_to_qwen2_audios_encoder_under_its_mask() -> None:
    """Which pools in pairs before the last norm, as InternOmni's count formula says of it."""
    pytest.importorskip("transformers")
    from transformers.models.qwen2_audio.modeling_qwen2_audio import Qwen2AudioEncoder

    torch.manual_seed(1)
    theirs = Qwen2AudioEncoder(their_config("qwen2_audio")).eval()
    sounds = [sound(0.73), sound(2.0, 1), sound(1.238, 2)]
    mel = torch.stack([torch.from_numpy(each.whole(200)) for each in sounds])
    frames = [each.frames for each in sounds]
    masked = padding_mask([SMALL.states(count) for count in frames], 100)
    bias = torch.zeros(3, 1, 1, 100).masked_fill(masked[:, None, None], float("-inf"))
    with torch.no_grad():
        features = theirs(mel, attention_mask=bias.expand(-1, -1, 100, -1)).last_hidden_state
        whole = theirs(mel).last_hidden_state
    for config, states in ((SMALL, features), (SMALL.model_copy(update={"mask_padding": False}), whole)):
        expected = torch.cat([own[: SMALL.tokens(n)] for own, n in zip(states, frames, strict=True)])
        ours = copied(theirs, config)
        with torch.no_grad():
            torch.testing.assert_close(ours.listen(sounds), expected, atol=1e-5, rtol=1e-5)
            torch.testing.assert_close(ours(mel, frames), expected, atol=1e-5, rtol=1e-5)


def test_features_are_as_many_as_the_formula_says() -> None:
    """The published formula, written out: two convolutions, then a pool of width and stride 2."""

    def through(length: int, stride: int) -> int:
        return 1 + (length + 2 - 2 - 1) // stride

    whisper = AudioConfig()
    for samples in range(481, 480_001, 2_399):  # 200 lengths
        frames = samples // 160
        expected = (through(through(frames, 1), 2) - 2) // 2 + 1
        assert whisper.tokens(frames) == expected
    told = {1.0: 25, 2.5: 62, 5.0: 125, 10.0: 250, 30.0: 750}
    assert {second: whisper.tokens(round(second * 100)) for second in told} == told
    encoder, mel = drawn(SMALL), torch.zeros(1, 16, 200)
    for frames in range(3, 201):
        assert len(encoder(mel, [frames])) == SMALL.tokens(frames)


def test_neighbours_and_silence_change_nothing_under_the_mask() -> None:
    short, long = sound(0.5), sound(1.9, 1)
    masked = drawn(SMALL)
    with torch.no_grad():
        alone, beside = masked.listen([short]), masked.listen([short, long])
        torch.testing.assert_close(beside[: len(alone)], alone, atol=1e-5, rtol=1e-5)
        whole = torch.from_numpy(short.whole(200))[None]
        louder = whole.clone()
        louder[:, :, short.frames + 2 :] += 1.0  # what stands behind the sound
        torch.testing.assert_close(masked(louder, [short.frames]), masked(whole, [short.frames]))


def test_without_the_mask_silence_is_heard() -> None:
    """Plain Whisper attends to the padding: the test above must fail for it."""
    short = sound(0.5)
    open_ears = drawn(SMALL.model_copy(update={"mask_padding": False}))
    whole = torch.from_numpy(short.whole(200))[None]
    louder = whole.clone()
    louder[:, :, short.frames + 2 :] += 1.0
    with torch.no_grad():
        changed = open_ears(louder, [short.frames]) - open_ears(whole, [short.frames])
    assert changed.abs().max() > 1e-2


def test_pooling_behind_the_norm_is_another_thing() -> None:
    config = SMALL.model_copy(update={"pool_before_norm": False})
    encoder, one = drawn(config), SMALL.model_copy(update={"pool": 1})
    states = drawn(one)
    with torch.no_grad():
        expected = states.listen([sound(1.0)])
        averaged = expected.view(-1, 2, 32).mean(1)
        torch.testing.assert_close(encoder.listen([sound(1.0)]), averaged, atol=1e-5, rtol=1e-5)
        assert (drawn(SMALL).listen([sound(1.0)]) - averaged).abs().max() > 1e-2


def test_what_does_not_fit_is_told() -> None:
    encoder = drawn(SMALL)
    with pytest.raises(ValueError, match=r"expected \[N, 16, W\]"):
        encoder(torch.zeros(1, 80, 50), [40])
    with pytest.raises(ValueError, match="201 columns: this encoder takes at most 200"):
        encoder(torch.zeros(1, 16, 201), [40])
    with pytest.raises(ValueError, match="frames = 50 of 50 columns"):
        encoder(torch.zeros(1, 16, 50), [50])
    with pytest.raises(ValueError, match="frames = 2 of 50 columns: a sound has 3 at the least"):
        encoder(torch.zeros(1, 16, 50), [2])
    with pytest.raises(ValueError, match="49 columns"):
        drawn(SMALL.model_copy(update={"mask_padding": False}))(torch.zeros(1, 16, 49), [20])


def test_weights_are_counted() -> None:
    encoder = AudioEncoder(SMALL)
    assert SMALL.weights().total == sum(p.numel() for p in encoder.parameters())
    assert 0.63e9 < AudioConfig().weights().total < 0.64e9  # Whisper-large-v3's encoder
    assert sum(p.numel() for p in AudioConnector(1280, 4096).parameters()) == 2560 + 1281 * 4096 + 4097 * 4096
