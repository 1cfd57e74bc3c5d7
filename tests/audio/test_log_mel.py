"""The log-mel spectrogram against transformers' extractor, and what is left out of it."""

import numpy as np
import pytest

from tessera.audio.mel import FRAMES, log_mel, mel_bands

transformers = pytest.importorskip("transformers")
LENGTHS = [1, 160, 199, 200, 401, 16_000, 40_000, 479_799, 479_801, 480_000]


@pytest.mark.parametrize("bands", [80, 128])
def test_bands_are_slaneys(bands: int) -> None:
    from transformers.audio_utils import mel_filter_bank

    theirs = mel_filter_bank(201, bands, 0.0, 8000.0, 16_000, norm="slaney", mel_scale="slaney")
    np.testing.assert_allclose(mel_bands(bands), theirs.T, atol=1e-7)


def test_equal_to_the_published_extractor() -> None:
    extractor = transformers.WhisperFeatureExtractor(feature_size=128)
    draw = np.random.default_rng(0)
    for length in LENGTHS:
        samples = (draw.standard_normal(length) * 0.1).astype(np.float32)
        theirs = extractor(samples, sampling_rate=16_000, return_tensors="np").input_features[0]
        ours = log_mel(samples)
        assert ours.frames == length // 160 and ours.values.shape[1] <= FRAMES
        np.testing.assert_allclose(ours.whole(), theirs, atol=1e-5)


def test_complete_silence_has_a_floor_of_its_own() -> None:
    extractor = transformers.WhisperFeatureExtractor(feature_size=128)
    nothing = np.zeros(8000, np.float32)
    theirs = extractor(nothing, sampling_rate=16_000, return_tensors="np").input_features[0]
    np.testing.assert_allclose(log_mel(nothing).whole(), theirs, atol=1e-5)


def test_a_longer_sound_is_refused_rather_than_cut() -> None:
    with pytest.raises(ValueError, match=r"samples \(480001,\): one window takes 1 to 480000 samples"):
        log_mel(np.zeros(480_001, np.float32))
    with pytest.raises(ValueError, match="one channel"):
        log_mel(np.zeros((2, 100), np.float32))
