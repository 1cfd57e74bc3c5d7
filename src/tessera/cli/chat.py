"""`tessera chat`: ask a model about pictures, clips and sounds; a conversation where a terminal is."""

import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

import tessera
from tessera.chat.message import Conversation, Message, ask, say
from tessera.chat.tokenizer.content import ContentTokens
from tessera.cli.command import MISTAKES
from tessera.cli.link.showing import LinkFiles
from tessera.cli.question import Kind, Media, QuestionCommand
from tessera.engine.chat_model import ChatModel
from tessera.engine.sampling.options import read_sampling
from tessera.imaging.pictures.reading import PUBLISHED, PictureReading

COMMANDS = "/image FILE   /video FILE   /audio FILE   /reset   /quit"


@dataclass(frozen=True)
class SamplingArguments:
    """How tokens are chosen."""

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


@dataclass(frozen=True)
class LoadArguments:
    """How the model is opened: the arguments of `tessera.load`."""

    device: str = "auto"
    """Where to run: auto, cpu, cuda."""
    dtype: str = "auto"
    """Number format of the weights: auto (as stored), bfloat16, float32, float16."""
    load_in_8bit: Annotated[bool, tyro.conf.arg(name="int8")] = False
    """Keep the weights of the blocks in int8: half the memory."""
    load_in_4bit: Annotated[bool, tyro.conf.arg(name="int4")] = False
    """Keep them in 4 bits: a quarter of the memory, at the price of exactness."""
    device_map: Literal["auto", "split"] | None = None
    """Lay the model over all GPUs: by free memory, or as the model cards do."""
    merge_lora: bool = False
    """Merge the LoRA matrices of the checkpoint into its weights."""
    adapter: Path | None = None
    """Folder of a LoRA adapter, as PEFT saves it, to merge into the model."""
    content_tokens: Annotated[ContentTokens | None, tyro.conf.arg(metavar="{added,all}|NAME ...")] = None
    """Special tokens that questions and answers may hold: added to the series' own, all, or names."""


@dataclass(frozen=True, kw_only=True)
class ChatCommand(QuestionCommand):
    """Ask a model about pictures, clips and sounds. Without a question, a conversation starts on a
    terminal."""

    image: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="FILE")] = ()
    """A picture; give the option again for more."""
    video: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="FILE")] = ()
    """A clip, or a folder of frames; give the option again for more."""
    audio: Annotated[tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="FILE")] = ()
    """A sound, or a video whose sound is meant; give the option again for more."""
    model: str | None = None
    """Checkpoint folder, or a name such as OpenGVLab/InternVL3-1B; the shipped scale model by default."""
    loading: Annotated[LoadArguments, tyro.conf.arg(name="")] = LoadArguments()
    max_tiles: int | None = None
    """Most tiles of a picture; the model's own limit, shared by the pictures, by default."""
    visual_increment: float | None = None
    """Step of position from a visual token to the next: 1, or 0.5, 0.25 ... 1/256 for long clips (V2PE); the
    model's own by default."""
    prefill: str = ""
    """Words with which every answer begins."""
    pictures: PictureReading = PUBLISHED
    """How picture files become RGB."""
    sampling: Annotated[SamplingArguments, tyro.conf.arg(name="")] = SamplingArguments()
    links: Path = Path("links")
    """Folder for masks and pictures that an answer's link tokens become; made when there are any."""

    def run(self) -> int:
        sampling = asdict(self.sampling)
        read_sampling(sampling)  # before the model is opened, which may take long
        media, question = self.media_and_question()
        given: dict[Kind, tuple[str, ...]] = {"image": self.image, "video": self.video, "audio": self.audio}
        for kind, path in ((kind, path) for kind, paths in given.items() for path in paths):
            media = media.with_file(path, kind)
        on_terminal = sys.stdin.isatty() and sys.stdout.isatty()
        if not question and not media and not on_terminal:
            raise ValueError("nothing to ask: give a picture, a clip, a sound or a question")
        model = tessera.load(self.model, **asdict(self.loading), pictures=self.pictures)
        print(model.summary, file=sys.stderr)
        options = {"max_tiles": self.max_tiles, "visual_increment": self.visual_increment, **sampling}
        options["prefill"] = self.prefill
        begun = () if self.system_text is None else (say("system", self.system_text),)
        talk = Talk(model, options, begun, LinkFiles(self.links))
        asked = question or media.default_question
        if self.json or question or not on_terminal:
            self.tell(lambda: talk.answer_with_facts(asked, media), lambda: talk.answer_aloud(asked, media))
        else:
            print(COMMANDS, file=sys.stderr)
            converse(talk, media)
        return 0


@dataclass
class Talk:
    """A conversation in progress. `options` are those of `ChatModel.stream`."""

    model: ChatModel
    options: dict[str, Any]
    messages: tuple[Message, ...] = ()
    links: LinkFiles = LinkFiles(Path("links"))

    def reset(self) -> None:
        """Forget everything said but the system text."""
        self.messages = tuple(message for message in self.messages if message.role == "system")

    def answer_aloud(self, question: str, media: Media) -> str:
        """Print the answer as it comes and remember both turns; a failed question is not remembered.

        Of an answer that Ctrl-C ends, what was said so far is remembered.
        """
        asked = (*self.messages, new := ask(question, media.images, media.videos, media.audios))
        for note in self.model.encoder.picture_notes(Conversation((new,))):
            print(f"note: {note}", file=sys.stderr)
        stream = self.model.stream(Conversation(asked), on_thought=_think_aloud, **self.options)
        try:
            for piece in stream:
                print(piece, end="", flush=True)
        except KeyboardInterrupt:
            if stream.answer.whole:
                self.messages = (*asked, say("assistant", stream.answer.whole))
            raise
        print()
        answer = stream.answer
        self.messages = (*asked, say("assistant", answer.whole))
        _tell_links(self.links.save(answer))
        return answer

    def answer_with_facts(self, question: str, media: Media) -> dict[str, Any]:
        """One answer with what it cost and every setting."""
        asked = Conversation((*self.messages, ask(question, media.images, media.videos, media.audios)))
        start = time.perf_counter()
        prompt = self.model.prompt(asked, **self.options)
        completion = self.model.complete([prompt])[0].sound()
        answer = prompt.answer(completion)
        return {
            "model": self.model.summary,
            "question": question,
            "answer": answer,
            "thought": answer.thought,
            **self.links.save(answer),
            "finish": completion.finish,
            "prompt_tokens": completion.prompt_tokens,
            "new_tokens": len(completion.ids),
            "tiles": list(prompt.encoded.tiles_per_image),
            "notes": self.model.encoder.picture_notes(asked),
            "seconds": round(time.perf_counter() - start, 3),
            "settings": self.model.encoder.describe()
            | {"visual_increment": prompt.visual_increment}
            | prompt.sampling.model_dump(mode="json"),
        }


def _think_aloud(piece: str) -> None:
    """A thought is no part of the answer: it goes where notes go."""
    print(piece, end="", file=sys.stderr, flush=True)


def _tell_links(told: Mapping[str, Any]) -> None:
    """Where masks and pictures are, and what could not be made."""
    for link in told.get("links", ()):
        for mask in link.get("masks", ()):
            print(f"{link['token']}: {mask['file']}", file=sys.stderr)
        for file in link.get("pictures", ()):
            print(f"{link['token']}: {file}", file=sys.stderr)
        if "fault" in link:
            print(f"note: {link['fault']}", file=sys.stderr)
    for file in told.get("overlays", ()):
        print(f"laid over the picture: {file}", file=sys.stderr)


def converse(talk: Talk, media: Media) -> None:
    """Read questions until the end of input; a mistake is one line, the conversation goes on.

    Ctrl-C ends an answer, or leaves a line that was begun; the end of input (Ctrl-D) or /quit ends the talk.
    """
    with suppress(ImportError):  # arrow keys and history at the prompt, where the platform has them
        import readline  # noqa: F401
    while True:
        try:
            line = input("\n> ").strip()
        except EOFError:
            print()
            return
        except KeyboardInterrupt:
            print("(/quit or Ctrl-D ends the conversation)", file=sys.stderr)
            continue
        if line in ("/quit", "/exit"):
            return
        before = talk.messages
        try:
            media = turn(talk, media, line)
        except MISTAKES as error:
            print(f"tessera chat: {error}", file=sys.stderr)
        except KeyboardInterrupt:
            print("\n(stopped)", file=sys.stderr)
            media = media if talk.messages is before else media.emptied()


def turn(talk: Talk, media: Media, line: str) -> Media:
    """One line of a conversation: a command or a question. Returns the files for the next question."""
    command, _, rest = line.partition(" ")
    if command == "/reset":
        talk.reset()
        return media.emptied()
    kinds: dict[str, Kind] = {"/image": "image", "/video": "video", "/audio": "audio"}
    if command in kinds:
        return media.with_file(rest.strip(), kinds[command])
    if command.startswith("/"):
        raise ValueError(f"{command} is no command: {COMMANDS}")
    if line or media:
        talk.answer_aloud(line or media.default_question, media)
        return media.emptied()
    return media
