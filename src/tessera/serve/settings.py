"""What a server lets in and how it is reached, as one value."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from tessera.runtime.config import Config
from tessera.runtime.shown import shown


class ServeLimits(Config):
    """How much one request may ask for, and all requests together. Each has its own error (docs/serve.md)."""

    body_bytes: int = Field(default=64 * 2**20, ge=1024)
    """bytes of a body"""
    body_seconds: float = Field(default=60.0, gt=0)
    """seconds until the whole body is there"""
    head_seconds: float = Field(default=20.0, gt=0)
    """seconds until the headers of a request are there"""
    send_seconds: float = Field(default=60.0, gt=0)
    """seconds that a client may take nothing of what is sent"""
    characters: int = Field(default=1_000_000, ge=1)
    """characters of all texts of a request"""
    parts: int = Field(default=10_000, ge=1)
    """messages of a request, and their parts"""
    media: int = Field(default=64, ge=1)
    """pictures and clips of a request; frames given as pictures count"""
    pixels: int = Field(default=40_000_000, ge=1)
    """width times height of a picture or of a clip's frame"""
    frames: int = Field(default=64, ge=1)
    """frames that are taken from all clips of a request"""
    clip_pixels: int = Field(default=2**35, ge=1)
    """frames times their pixels of a clip, whether they are taken or not: reading them takes time"""
    tiles: int = Field(default=128, ge=1)
    """tiles of a request; a frame is one"""
    tokens: int | None = Field(default=None, ge=2)
    """prompt and answer of a request; the model's own length by default"""
    choices: int = Field(default=8, ge=1)
    """answers to one request (n)"""
    requests: int = Field(default=128, ge=1)
    """requests that are inside at once, waiting ones included"""
    requests_per_key: int = Field(default=64, ge=1)
    """the same for one API key, or for one address where there are no keys"""
    total_bytes: int = Field(default=2**29, ge=1024)
    """bytes of all bodies and fetched files that are held at once; more wait"""
    total_tokens: int = Field(default=2**20, ge=2)
    """tokens of all prompts and answers in work, where each of top_logprobs counts as one; more wait"""
    total_tiles: int = Field(default=512, ge=1)
    """tiles of all prompts in work; more wait"""
    remote_bytes: int = Field(default=32 * 2**20, ge=1)
    """bytes of all files that a request has fetched"""
    remote_seconds: float = Field(default=20.0, gt=0)
    """seconds that fetching them may take"""
    threads: int = Field(default=2, ge=1)
    """threads that decode pictures and clips"""
    drain_seconds: float = Field(default=30.0, ge=0)
    """seconds that answers may go on when the server is asked to end"""

    @model_validator(mode="after")
    def _one_fits_into_all(self) -> Self:
        """A request that could never be let in would wait for ever."""
        for one, all_of_them in (("body_bytes", "total_bytes"), ("tiles", "total_tiles")):
            if getattr(self, one) > getattr(self, all_of_them):
                raise ValueError(
                    f"{all_of_them} = {getattr(self, all_of_them)} is below {one} = {getattr(self, one)}: "
                    f"raise {all_of_them} or lower {one}"
                )
        return self


class ServeSettings(Config):
    """A server: its model's name, who may ask, where files lie, and its limits."""

    name: str
    """the model's name in requests and answers"""
    keys: tuple[str, ...] = ()
    """API keys; none lets everybody in"""
    media_root: Path | None = None
    """folder whose files may be named in requests; none refuses local files"""
    allow_remote: bool = False
    """whether pictures and clips are fetched from public web addresses"""
    origins: tuple[str, ...] = ()
    """web origins whose pages may ask (CORS)"""
    hosts: tuple[str, ...] = ()
    """names under which the server may be addressed; none takes every name"""
    temperature: float = Field(default=0.0, ge=0)
    """where a request gives none; 0 takes the best token, as everywhere in Tessera"""
    new_tokens: int = Field(default=1024, ge=1)
    """longest answer where a request gives none, as on the model cards"""
    critic: bool = False
    """whether there is a model that rates candidates; none refuses selection by score"""
    limits: ServeLimits = ServeLimits()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.media_root is not None and not self.media_root.is_dir():
            raise ValueError(f"media_root = {shown(str(self.media_root))}: no such folder; name another")
        if any(len(key) < 8 or not key.isascii() or key.split() != [key] for key in self.keys):
            what = "less than 8 characters, spaces or other than ASCII ones"
            raise ValueError(f"keys: a key has {what}; change it")
        return self
