"""`tessera diff-prompt`: where another engine's token ids or tile counts for the same question differ."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tessera.chat.encoder import Encoder
from tessera.chat.message import Video
from tessera.chat.openai import read_messages
from tessera.checkpoints.hub import find_checkpoint
from tessera.checkpoints.load import read_description
from tessera.cli.question import Media, QuestionCommand
from tessera.peers.compare import Comparison, EnginePrompt, compare, our_prompt, with_tiles


@dataclass(frozen=True, kw_only=True)
class DiffPromptCommand(QuestionCommand):
    """Compare the prompt of a question, token by token, with what another engine makes of it.

    No weights are read. Without --system each engine writes its own. The exit code is 1 for a difference.
    """

    against: str
    """Address of an OpenAI-compatible server (vLLM, SGLang, LMDeploy ...), or the word transformers."""
    model: str
    """Checkpoint folder (any layout), or a name such as OpenGVLab/InternVL3-1B."""
    labels: str | None = None
    """Our words before a frame: training, cards, spaced, none, or a pattern with {index}."""
    served_model: str | None = None
    """Name under which the server knows the model; the first it lists by default."""
    api_key: str | None = None
    """Key that the server asks for."""

    def run(self) -> int:
        media, question = self.media_and_question()
        if not question:
            raise ValueError(
                'no question: write it behind the files, as in diff-prompt ... picture.jpg "What?"'
            )
        found = self.diff(write_messages(question, media, self.system_text))
        self.tell(found.as_dict, lambda: show(found))
        return 0 if found.same else 1

    def diff(self, messages: Sequence[dict[str, Any]]) -> Comparison:
        """Both prompts of the messages, compared."""
        folder = find_checkpoint(self.model)
        description = read_description(folder)
        tokenizer, family = description.tokenizer, description.family
        encoder = family.encoder(tokenizer)
        if self.labels is not None:
            encoder = replace(encoder, frame_label=self.labels)
        theirs = self.ask(folder, messages, encoder)
        ours = our_prompt(encoder, read_messages(messages))
        return compare(ours, with_tiles(theirs, tokenizer, encoder.tokens_per_tile), tokenizer)

    def ask(self, folder: Path, messages: Sequence[dict[str, Any]], encoder: Encoder) -> EnginePrompt:
        """The other engine's prompt."""
        conversation = read_messages(messages)
        if self.against == "transformers":
            from tessera.peers.transformers_prompts import feed_transformers

            parts = zip(conversation.media, encoder.spans(conversation), strict=True)
            frames = [len(span.tiles) for part, span in parts if isinstance(part, Video)]
            return feed_transformers(folder, messages, encoder.tokenizer, encoder.tokens_per_tile, frames)
        if not self.against.startswith(("http://", "https://")):
            raise ValueError(
                f"--against {self.against}: neither an address nor 'transformers'; write http://host:port"
            )
        from tessera.peers.server import Server

        server = Server(self.against, self.served_model, self.api_key)
        slot = encoder.tokenizer.token_id(encoder.template.tokens.context)
        return server.prompt(messages, slot, len(conversation.media))


def write_messages(question: str, media: Media, system: str | None) -> list[dict[str, Any]]:
    """The question as OpenAI-style messages; several pictures are numbered as in training
    (docs/facts/imaging.md)."""
    if media.audios:
        raise ValueError("sounds are not compared with other engines; leave them out")
    parts: list[dict[str, Any]] = []
    for index, path in enumerate(media.images, start=1):
        if len(media.images) > 1:
            parts.append({"type": "text", "text": f"Image-{index}: "})
        parts.append({"type": "image", "image": str(path)})
    for video in media.videos:
        bounds = {"start": video.start, "end": video.end, "frames": video.frames, "fps": video.fps}
        said = {key: value for key, value in bounds.items() if value is not None}
        parts.append({"type": "video", "video": str(video.source), **said})
    parts.append({"type": "text", "text": question})
    user = {"role": "user", "content": parts}
    return [user] if system is None else [{"role": "system", "content": system}, user]


def show(found: Comparison) -> None:
    """The comparison in lines."""
    width = max(len(side.engine) for side in (found.ours, found.theirs))
    for side in (found.ours, found.theirs):
        tiles = "not shown" if side.tiles is None else ", ".join(map(str, side.tiles)) or "none"
        print(f"{side.engine:<{width}}  {side.tokens} tokens   tiles: {tiles}")
    for note in found.theirs.notes:
        print(f"note: {note}")
    for number, difference in enumerate(found.differences, start=1):
        at = f"token {difference.ours_at} here, {difference.theirs_at} there"
        print(f"\ndifference {number} of {len(found.differences)}: {at}")
        print(f"  before  {difference.before!r}")
        print(f"  ours    {difference.ours!r}")
        print(f"  theirs  {difference.theirs!r}")
        if difference.ours == difference.theirs:
            print(f"  ids     {list(difference.ours_ids)} and {list(difference.theirs_ids)}")
        print(f"  behind  {difference.behind!r}")
    print(f"\n{verdict(found)}")


def verdict(found: Comparison) -> str:
    """One line: same or different, and how far that could be seen."""
    what = "same" if found.same else "different"
    if found.compared == "count":
        return f"{what} number of tokens ({found.theirs.engine} shows no more)"
    return f"{what} prompt, token by token" if found.same else "different prompts"
