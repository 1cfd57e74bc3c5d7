"""`tessera chat`: ask a model about pictures and clips; a conversation when a terminal is attached."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import tessera
from tessera.chat.message import Conversation, Message, Video, ask, say
from tessera.engine.chat_model import ChatModel
from tessera.engine.request import read_sampling

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
    start: float | None = None
    """Begin of the clips in seconds."""
    end: float | None = None
    """End of the clips in seconds."""
    frames: int | None = None
    """Frames taken from a clip; the model's own number by default."""
    model: str | None = None
    """Checkpoint folder, or a name such as OpenGVLab/InternVL3-1B; the shipped scale model by default."""
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
    max_tiles: int | None = None
    """Most tiles of a picture; the model's own limit, shared by the pictures, by default."""
    visual_increment: float = 1.0
    """Step of position from a visual token to the next: 1, or 0.5, 0.25 ... 1/256 for long clips (V2PE)."""
    seed: int = 0
    """Start of the random stream for temperatures above 0."""
    json: bool = False
    """Print one JSON object with the answer and every setting."""
    device: str = "auto"
    """Where to run: auto, cpu, cuda."""
    dtype: str = "auto"
    """Number format of the weights: auto (as stored), bfloat16, float32, float16."""
    int8: bool = False
    """Keep the weights of the blocks in int8: half the memory."""
    device_map: Literal["auto", "split"] | None = None
    """Lay the model over all GPUs: by free memory, or as the model cards do."""
    merge_lora: bool = False
    """Merge the LoRA matrices of the checkpoint into its weights."""


SAMPLING = ("temperature", "top_k", "top_p", "repetition_penalty", "max_new_tokens", "seed")
SWITCHES = {"--" + field.name.replace("_", "-") for field in fields(Arguments) if field.type == "bool"}
SWITCHES |= {"-h", "--help"}
"""Options that take no value."""


@dataclass(frozen=True)
class Media:
    """Files that go with the next question; clips are bounded as the command line says."""

    images: tuple[Path, ...] = ()
    videos: tuple[Video, ...] = ()
    bounds: Video = Video("")

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
            return replace(self, videos=(*self.videos, replace(self.bounds, source=path)))
        return replace(self, images=(*self.images, path))

    def emptied(self) -> Media:
        """No files, the same bounds."""
        return Media(bounds=self.bounds)


class Talk:
    """A conversation in progress. `options` are those of `ChatModel.stream`."""

    def __init__(self, model: ChatModel, options: dict[str, Any], system: str | None = None) -> None:
        self.model = model
        self.options = options
        self._system = () if system is None else (say("system", system),)
        self.messages: tuple[Message, ...] = self._system

    def reset(self) -> None:
        """Forget everything said."""
        self.messages = self._system

    def answer_aloud(self, question: str, media: Media) -> str:
        """Print the answer as it comes and remember both turns; a failed question is not remembered."""
        asked = (*self.messages, ask(question, media.images, media.videos))
        pieces = []
        for piece in self.model.stream(Conversation(asked), **self.options):
            print(piece, end="", flush=True)
            pieces.append(piece)
        print()
        answer = "".join(pieces)
        self.messages = (*asked, say("assistant", answer))
        return answer

    def answer_as_json(self, question: str, media: Media) -> str:
        """One answer with what it cost and every setting, as a JSON object."""
        asked = Conversation((*self.messages, ask(question, media.images, media.videos)))
        start = time.perf_counter()
        prompt = self.model.prompt(asked, **self.options)
        completion = self.model.complete([prompt])[0]
        facts = {
            "model": self.model.summary,
            "question": question,
            "answer": completion.text,
            "finish": completion.finish,
            "prompt_tokens": completion.prompt_tokens,
            "new_tokens": len(completion.ids),
            "tiles": list(prompt.encoded.tiles_per_image),
            "seconds": round(time.perf_counter() - start, 3),
            "settings": self.model.encoder.describe()
            | {"visual_increment": prompt.visual_increment}
            | prompt.sampling.model_dump(mode="json"),
        }
        return json.dumps(facts, ensure_ascii=False)


def main(argv: list[str]) -> int:
    """Open the model, say on stderr what it is, and answer."""
    without_pairs = (tyro.conf.FlagCreatePairsOff,)
    given = tyro.cli(Arguments, args=words_last(argv), prog="tessera chat", config=without_pairs)
    sampling = {name: getattr(given, name) for name in SAMPLING}
    read_sampling(sampling)  # before the model is opened, which may take long
    media, question = read_media(given)
    on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    if not question and not media and not on_terminal:
        raise ValueError("nothing to ask: give a picture, a clip or a question")
    model = tessera.load(
        given.model,
        given.device,
        given.dtype,
        load_in_8bit=given.int8,
        device_map=given.device_map,
        merge_lora=given.merge_lora,
    )
    print(model.summary, file=sys.stderr)
    options = {"max_tiles": given.max_tiles, "visual_increment": given.visual_increment, **sampling}
    talk = Talk(model, options, given.system)
    if given.json:
        print(talk.answer_as_json(question or media.default_question, media))
    elif question or not on_terminal:
        talk.answer_aloud(question or media.default_question, media)
    else:
        print(COMMANDS, file=sys.stderr)
        converse(talk, media)
    return 0


def words_last(argv: list[str]) -> list[str]:
    """The arguments with files and question behind the options, in their order.

    The parser takes positional words in one place only; people write `PICTURE --model X "question"`.
    """
    options: list[str] = []
    words: list[str] = []
    rest = iter(argv)
    for word in rest:
        if word == "--":
            words += rest
        elif not word.startswith("-") or word == "-":
            words.append(word)
        else:
            options.append(word)
            if word not in SWITCHES and "=" not in word:
                options += [value for value in [next(rest, None)] if value is not None]
    return [*options, "--", *words] if words else options


def read_media(given: Arguments) -> tuple[Media, str]:
    """Files and question. A word that is a file, or is named like one, is media; the rest is the question."""
    media, words = Media(bounds=Video("", given.start, given.end, given.frames)), []
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
        return media.emptied()
    if command in ("/image", "/video"):
        return media.with_file(Path(rest.strip()).expanduser(), clip=command == "/video")
    if command.startswith("/"):
        raise ValueError(f"{command} is no command: {COMMANDS}")
    if line or media:
        talk.answer_aloud(line or media.default_question, media)
        return media.emptied()
    return media


def _line_editing() -> None:
    """Arrow keys and history at the prompt, where the platform has them."""
    try:
        import readline  # noqa: F401
    except ImportError:
        return
