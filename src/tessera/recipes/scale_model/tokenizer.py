"""The scale model's tokenizer: 1,062 byte-level tokens, trained on what the playground says.

Command:   python -m tessera.recipes.scale_model.tokenizer
Hardware:  CPU, one core
Time:      three seconds
Expected:  src/tessera/assets/tokenizer/: tokenizer.json and tokenizer_config.json
"""

import re
from collections.abc import Iterator
from itertools import product
from random import Random
from string import ascii_lowercase

from tessera.chat.message import Text
from tessera.chat.tokenizer import Tokenizer
from tessera.chat.tokenizer.training import train_tokenizer
from tessera.chat.tokens import GROUNDING_TOKENS
from tessera.checkpoints.shipped import assets_folder
from tessera.playground.questions.words import WORDS
from tessera.playground.scene import LEVELS, SUITES, draw_scene
from tessera.playground.talk import caption_conversation, conversation

SIZE = 1088
"""More than enough for every word: training ends at 1,062 tokens, when all words are whole. (With 768 tokens
220 of some 520 words fell apart, most of them words to be read.)"""
SCENES = 300
"""Scenes drawn for every suite and level."""
MARKS = re.compile("|".join(map(re.escape, GROUNDING_TOKENS)))


def playground_texts(scenes: int = SCENES) -> Iterator[str]:
    """Every run of text of playground conversations, with the role words, as the template writes them."""
    rng = Random(0)
    for suite, level, seed in product(SUITES, LEVELS, range(scenes)):
        scene = draw_scene(suite, seed, level=level)
        talks = (conversation(scene, scene.questions), caption_conversation(scene, rng))
        for message in (message for talk in talks for message in talk.messages):
            yield f"{message.role}\n"
            for part in message.parts:
                if isinstance(part, Text):
                    yield from filter(None, MARKS.split(part.text))


def word_list() -> Iterator[str]:
    """The words to read and the letters to spell with, at a line's start and behind a space."""
    for word in (*ascii_lowercase, *(w for words in WORDS.values() for w in words)):
        yield from (word, f" {word}")


def build(size: int = SIZE, scenes: int = SCENES) -> Tokenizer:
    """Train it; the same playground gives the same tokenizer."""
    return train_tokenizer((*playground_texts(scenes), *word_list()), size)


if __name__ == "__main__":
    build().save(assets_folder() / "tokenizer")
