"""`tessera chat`: ask a model about pictures and clips; a conversation when a terminal is attached."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro
from pydantic import ValidationError

from tessera.chat.message import Conversation, Message, ask, say
from tessera.checkpoints.load import Loaded, load_checkpoint
from tessera.checkpoints.shipped import default_model_folder
from tessera.engine.engine import Completion, Engine, Sampling
from tessera.runtime.device import choose_device, choose_dtype

PICTURES = {".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff", ".ppm"}
CLIPS = {".mp4", ".mkv", ".webm", ".mov", ".avi", ".gif", ".m4v", ".mpg", ".mpeg"}
DESCRIBE = {
    "picture": "describe the picture.",
    "pictures": "describe the pictures.",
    "clip": "describe the clip.",
}
"""Asked when there is media but no question and no terminal to ask for one."""
COMMANDS = "/image FILE   /video FILE   /reset   /quit"


@dataclass(frozen=True)
class Arguments:
    """Ask a model about pictures and clips. Without a question, a conversation starts on a terminal."""

    words: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[FILE ...] [QUESTION]")
    ] = ()
    """Pictures or clips, and the question."""
    image: Annotated[tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="FILE")] = ()
    """A picture; give the option again for more."""
    video: Annotated[tyro.conf.UseAppendAction[tuple[Path, ...]], tyro.conf.arg(metavar="FILE")] = ()
    """A clip, or a folder of frames; give the option again for more."""
    model: Path | None = None
    """Checkpoint folder; the shipped scale model by default."""
    system: str | None = None
    """System text in place of the model's own."""
    temperature: float = 0.0
    """0 takes the best token; higher values vary the answers."""
    top_k: int = 0
    """Only the k best tokens; 0 is off."""
    top_p: float = 1.0
    """Only the best tokens that together reach this probability."""
    repetition_penalty: float = 1.0
    """Above 1: tokens already seen become less likely."""
    max_new_tokens: int = 256
    """Longest answer."""
    seed: int = 0
    """Start of the random stream for temperatures above 0."""
    json: bool = False
    """Print one JSON object with the answer and every setting."""
    device: str = "auto"
    """Where to run: auto, cpu, cuda."""
    dtype: str = "float32"
    """Number format of the weights."""


@dataclass(frozen=True)
class Media:
    """Files that go with the next question."""

    images: tuple[Path, ...] = ()
    videos: tuple[Path, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.images or self.videos)

    @property
    def default_question(self) -> str:
        """What to ask about these files when nobody says."""
        return DESCRIBE["clip" if self.videos else "pictures" if len(self.images) > 1 else "picture"]

    def with_file(self, path: Path, clip: bool) -> Media:
        """One file more; ValueError when it does not exist."""
        if not path.exists():
            raise ValueError(f"{path}: no such file; check the path")
        if clip:
            return Media(self.images, (*self.videos, path))
        return Media((*self.images, path), self.videos)


class Talk:
    """A conversation in progress."""

    def __init__(self, loaded: Loaded, sampling: Sampling, system: str | None = None) -> None:
        self.engine = Engine.of(loaded)
        self.encoder = loaded.encoder
        self.sampling = sampling
        self._system = () if system is None else (say("system", system),)
        self.messages: tuple[Message, ...] = self._system

    def reset(self) -> None:
        """Forget everything said."""
        self.messages = self._system

    def answer_aloud(self, question: str, media: Media) -> str:
        """Print the answer as it comes and remember both turns; a failed question is not remembered."""
        asked = (*self.messages, ask(question, media.images, media.videos))
        prompt = self.encoder.encode(Conversation(asked), generate=True)
        pieces = []
        for piece in self.engine.stream(prompt, self.sampling):
            print(piece, end="", flush=True)
            pieces.append(piece)
        print()
        answer = "".join(pieces)
        self.messages = (*asked, say("assistant", answer))
        return answer

    def answer_as_json(self, question: str, media: Media) -> str:
        """One answer with what it cost and every setting, as a JSON object."""
        asked = (*self.messages, ask(question, media.images, media.videos))
        start = time.perf_counter()
        prompt = self.encoder.encode(Conversation(asked), generate=True)
        completion: Completion = self.engine.generate([prompt], self.sampling)[0]
        facts = {
            "question": question,
            "answer": completion.text,
            "finish": completion.finish,
            "prompt_tokens": completion.prompt_tokens,
            "new_tokens": len(completion.ids),
            "tiles": list(prompt.tiles_per_image),
            "seconds": round(time.perf_counter() - start, 3),
            "settings": self.encoder.describe() | self.sampling.model_dump(mode="json"),
        }
        return json.dumps(facts, ensure_ascii=False)


def main(argv: list[str]) -> int:
    given = tyro.cli(Arguments, args=argv, prog="tessera chat", config=(tyro.conf.FlagCreatePairsOff,))
    sampling = read_sampling(given)
    media, question = read_media(given)
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not question and not media and not on_terminal:
        raise ValueError("nothing to ask: give a picture, a clip or a question")
    device = choose_device(given.device)
    folder = given.model or default_model_folder()
    loaded = load_checkpoint(folder, device, choose_dtype(given.dtype, device))
    talk = Talk(loaded, sampling, given.system)
    if given.json:
        print(talk.answer_as_json(question or media.default_question, media))
    elif question or not on_terminal:
        talk.answer_aloud(question or media.default_question, media)
    else:
        print(f"{loaded.family.name} ({folder})   {COMMANDS}", file=sys.stderr)
        converse(talk, media)
    return 0


def read_sampling(given: Arguments) -> Sampling:
    """The sampling that the options ask for; ValueError with one line naming option, value and remedy."""
    names = ("temperature", "top_k", "top_p", "repetition_penalty", "max_new_tokens", "seed")
    try:
        return Sampling(**{name: getattr(given, name) for name in names})
    except ValidationError as error:
        raise ValueError(error.errors()[0]["msg"].removeprefix("Value error, ")) from error


def read_media(given: Arguments) -> tuple[Media, str]:
    """Files and question. A word that is a file, or is named like one, is media; the rest is the question."""
    media, words = Media(), []
    for word in given.words:
        path = Path(word)
        suffix = path.suffix.lower()
        if suffix in PICTURES | CLIPS or _exists(path):
            media = media.with_file(path, clip=suffix in CLIPS or path.is_dir())
        else:
            words.append(word)
    for path in given.image:
        media = media.with_file(path, clip=False)
    for path in given.video:
        media = media.with_file(path, clip=True)
    return media, " ".join(words).strip()


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError:  # a long question is no valid file name
        return False


def converse(talk: Talk, media: Media) -> None:
    """Read questions until the end of input; a mistake is one line, the conversation goes on."""
    _line_editing()
    while True:
        try:
            line = input("\n> ").strip()
        except EOFError:
            print()
            return
        if line in ("/quit", "/exit"):
            return
        try:
            media = turn(talk, media, line)
        except (ValueError, FileNotFoundError, IsADirectoryError, PermissionError) as error:
            print(f"tessera chat: {error}", file=sys.stderr)


def turn(talk: Talk, media: Media, line: str) -> Media:
    """One line of a conversation: a command or a question. Returns the files for the next question."""
    command, _, rest = line.partition(" ")
    if command == "/reset":
        talk.reset()
        return Media()
    if command in ("/image", "/video"):
        return media.with_file(Path(rest.strip()).expanduser(), clip=command == "/video")
    if command.startswith("/"):
        raise ValueError(f"{command} is no command: {COMMANDS}")
    if line or media:
        talk.answer_aloud(line or media.default_question, media)
        return Media()
    return media


def _line_editing() -> None:
    """Arrow keys and history at the prompt, where the platform has them."""
    try:
        import readline  # noqa: F401
    except ImportError:
        return
