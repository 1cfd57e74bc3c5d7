"""Sounds in the containers that people have, written by PyAV."""

import io

import av
import av.container
import numpy as np
from numpy.typing import NDArray


def tone(seconds: float, hertz: float = 440.0, rate: int = 16_000) -> NDArray[np.float32]:
    """A sine of a third of full scale, float32 [S]."""
    return (0.3 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


def coded(
    channels: list[NDArray[np.float32]], rate: int, form: str, codec: str, with_picture: bool = False
) -> bytes:
    """The channels, or none, in a container; with a video stream in front where asked."""
    written = io.BytesIO()
    container = av.open(written, "w", format=form)
    pictures = container.add_stream("mpeg4", rate=10) if with_picture else None
    sound = container.add_stream(codec, rate=rate) if channels else None
    if sound is not None:
        sound.layout = "mono" if len(channels) == 1 else "stereo"
    if pictures is not None:
        pictures.width = pictures.height = 32
        for _ in range(5):
            grey = av.VideoFrame.from_ndarray(np.full((32, 32, 3), 90, np.uint8), format="rgb24")
            container.mux(pictures.encode(grey))
        container.mux(pictures.encode(None))
    if sound is not None:
        _add(container, sound, channels, rate)
    container.close()
    return written.getvalue()


def _add(
    container: av.container.OutputContainer,
    stream: av.AudioStream,
    channels: list[NDArray[np.float32]],
    rate: int,
) -> None:
    frame = av.AudioFrame.from_ndarray(np.stack(channels), format="fltp", layout=stream.layout.name)
    frame.rate = rate
    size = stream.codec_context.frame_size or 0
    resampler = av.AudioResampler(stream.format, stream.layout.name, rate, frame_size=size)
    for each in [*resampler.resample(frame), *resampler.resample(None)]:
        container.mux(stream.encode(each))
    container.mux(stream.encode(None))
