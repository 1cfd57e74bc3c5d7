"""PNG files without their notes: texts and colour profiles, which pixels do not depend on.

Pillow unpacks them when it opens a file and refuses those that become longer than 1 MiB. Its limits are
values of the whole process, which belong to the host program; so such a file is read without its notes.
"""

import io
from pathlib import Path

MAGIC = b"\x89PNG\r\n\x1a\n"
NOTES = (b"tEXt", b"zTXt", b"iTXt", b"iCCP")
_HEAD, _CHECK = 8, 4  # bytes in front of a chunk's data, and behind


def without_notes(source: str | Path | bytes) -> bytes | None:
    """The file without texts and profile; None when it is no PNG or has none."""
    with io.BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as stream:
        if stream.read(len(MAGIC)) != MAGIC:
            return None
        kept, dropped = [MAGIC], 0
        while len(head := stream.read(_HEAD)) == _HEAD:
            size = int.from_bytes(head[:4]) + _CHECK
            if head[4:] in NOTES:
                dropped += 1
                stream.seek(size, io.SEEK_CUR)
            else:
                kept += [head, stream.read(size)]
    return b"".join(kept) if dropped else None
