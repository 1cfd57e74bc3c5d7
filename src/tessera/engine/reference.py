"""The slow oracle: one prompt, no cache, the whole sequence again for every token."""

import torch

from tessera.chat.encoder import Encoded
from tessera.chat.positions import v2pe_positions
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokens import NO_SLOTS, LinkSlots
from tessera.engine.completion import Completion, Finish, Link, TokenLogprob
from tessera.engine.resolution.looker import features_of
from tessera.engine.sampling.choose import choose_rows, forbid
from tessera.engine.sampling.chooser import Choosers
from tessera.engine.sampling.options import Sampling
from tessera.models.vlm import VLM
from tessera.nn.attention.layout import Packed


@torch.inference_mode()
def generate_slowly(
    model: VLM,
    tokenizer: Tokenizer,
    stop_ids: frozenset[int],
    prompt: Encoded,
    sampling: Sampling,
    visual_increment: float = 1.0,
    slots: LinkSlots = NO_SLOTS,
) -> Completion:
    """What `Engine.generate` must equal token for token."""
    ids = torch.from_numpy(prompt.ids).long()
    tiles = torch.from_numpy(prompt.tiles) if len(prompt.tiles) else None
    asked = [number for number in prompt.ids.tolist() if not slots.holds(number)]
    chooser = Choosers(tokenizer, stop_ids).chooser(sampling, asked)
    ending = sampling.ending(stop_ids)

    def finished(finish: Finish) -> Completion:
        text = tokenizer.decode(answer)
        ends = [text.index(stop) for stop in sampling.stop if stop in text]
        whole = sampling.begun + text[: min(ends, default=len(text))]
        words = whole.strip() if sampling.strip else whole
        told = tuple(logprobs)
        found = tuple(Link(link, place, hidden()[first:last]) for link, place, first, last in links)
        return Completion(words, tuple(answer), finish, len(prompt.ids), logprobs=told, links=found)

    def hidden() -> torch.Tensor:
        places = v2pe_positions(ids.numpy(), model.config.image_token_id, visual_increment)
        out: torch.Tensor = model(
            *(ids, Packed((len(ids),)), torch.from_numpy(places), tiles),
            features=features_of(model, prompt),
            sounds=prompt.sounds,
        )
        return out

    answer: list[int] = []
    logprobs: list[TokenLogprob] = []
    links: list[tuple[int, int, int, int]] = []
    room = len(ids) + sampling.max_new_tokens
    while len(ids) < room:
        scores = forbid(model.logits(hidden()[-1:]), model.config.placeholder_ids, tokenizer.vocab_size)
        (choice,) = choose_rows(scores, [chooser])
        token = choice.token
        if token in ending:
            return finished("stop")
        chooser.take(token)
        logprobs += [] if choice.logprob is None else [choice.logprob]
        answer.append(token)
        ids = torch.cat((ids, torch.tensor([token])))
        if any(stop in tokenizer.decode(answer) for stop in sampling.stop):
            return finished("stop")
        if behind := list(slots.behind(token)):
            if len(ids) + len(behind) > room:
                return finished("length")
            links.append((token, len(answer) - 1, len(ids), len(ids) + len(behind)))
            ids = torch.cat((ids, torch.tensor(behind)))
        if chooser.finish:
            return finished(chooser.finish)
    return finished("length")
