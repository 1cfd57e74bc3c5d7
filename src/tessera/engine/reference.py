"""The slow oracle: one prompt, no cache, the whole sequence again for every token."""

import torch

from tessera.chat.encoder import Encoded
from tessera.chat.positions import v2pe_positions
from tessera.chat.tokenizer import Tokenizer
from tessera.engine.completion import Completion, Finish, TokenLogprob
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
) -> Completion:
    """What `Engine.generate` must equal token for token."""
    ids = torch.from_numpy(prompt.ids).long()
    tiles = torch.from_numpy(prompt.tiles) if len(prompt.tiles) else None
    chooser = Choosers(tokenizer, stop_ids).chooser(sampling, prompt.ids.tolist())
    ending = sampling.ending(stop_ids)

    def finished(finish: Finish) -> Completion:
        text = tokenizer.decode(answer)
        ends = [text.index(stop) for stop in sampling.stop if stop in text]
        whole = sampling.begun + text[: min(ends, default=len(text))]
        words = whole.strip() if sampling.strip else whole
        return Completion(words, tuple(answer), finish, len(prompt.ids), logprobs=tuple(logprobs))

    answer: list[int] = []
    logprobs: list[TokenLogprob] = []
    while len(answer) < sampling.max_new_tokens:
        positions = torch.from_numpy(
            v2pe_positions(ids.numpy(), model.config.image_token_id, visual_increment)
        )
        hidden = model(ids, Packed((len(ids),)), positions, tiles)
        scores = forbid(model.logits(hidden[-1:]), model.config.image_token_id, tokenizer.vocab_size)
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
        if chooser.finish:
            return finished(chooser.finish)
    return finished("length")
