"""Which frames of a clip part the model sees in chat, evaluation and `uniform` training."""

from tessera.chat.message import Video
from tessera.imaging.clips.stills import stills_of
from tessera.imaging.frames import frame_indices, frames_by_rate
from tessera.imaging.video import FOLDER_FPS, VideoInfo, probe_video
from tessera.runtime.shown import shown


def clip_frames(part: Video, usual: int, most: int) -> list[int]:
    """Frame numbers of a clip: `usual` ones by the published rule unless the part says otherwise.

    Frames that are listed or in memory are all taken. No more than `most`; ValueError names what asks for
    more, a bound that leaves nothing, and a clip that cannot be read.
    """
    if part.picked is not None:
        return list(part.picked)
    listed = isinstance(part.source, tuple) and stills_of(part.source) is not None
    if listed and (part.start is not None or part.end is not None):
        raise ValueError("video.start, video.end: frames in a list have no times; shorten the list instead")
    if part.fps is not None:
        return _by_rate(part, part.fps, most)
    wanted = part.frames
    if wanted is None:
        wanted = len(part.source) if isinstance(part.source, tuple) else usual
    _require_count(wanted, most)
    if listed and part.frames is None:
        return list(range(wanted))
    info = _probed(part)
    return frame_indices(info.frames, info.fps, wanted, part.start, part.end, info.times)


def _by_rate(part: Video, rate: float, most: int) -> list[int]:
    """So many frames a second; spread evenly when these are more than the part's own `frames`."""
    if part.frames is not None:
        _require_count(part.frames, most)
    info = _probed(part)
    found = frames_by_rate(info.frames, info.fps, rate, part.start, part.end, info.times)
    if part.frames is not None and len(found) > part.frames:
        return frame_indices(info.frames, info.fps, part.frames, part.start, part.end, info.times)
    if len(found) > most:
        raise ValueError(
            f"video.fps: {rate:g} a second are {len(found)} frames of this clip, the most is {most}; ask for "
            f"fewer a second, bound the clip with start and end, or set frames={most} beside fps"
        )
    return found


def _probed(part: Video) -> VideoInfo:
    if isinstance(part.source, tuple):
        return VideoInfo(len(part.source), FOLDER_FPS, 1, 1)  # no size is asked for
    timed = part.fps is not None or part.start is not None or part.end is not None
    return probe_video(part.source, timed=timed)


def _require_count(wanted: int, most: int) -> None:
    if not 1 <= wanted <= most:
        raise ValueError(
            f"video.frames: {shown(wanted)} is not in 1..{most}; set Video.frames or Encoder(max_frames=...)"
        )
