"""Words and numbers written large on one or two lines, with questions about letters and values."""

from random import Random

from tessera.chat.message import Image
from tessera.playground.drawings.marks import DARK_INK, LIGHT_INK, Canvas
from tessera.playground.drawings.writing import draw_lines
from tessera.playground.parts import Scene
from tessera.playground.questions.asker import Asker
from tessera.playground.questions.words import WORDS
from tessera.playground.questions.writing import ask_number, ask_sum, ask_two_words, ask_word

WORD_LENGTHS = {1: (3,), 2: (3, 4), 3: (4, 5)}
MOST_DIGITS = {1: 2, 2: 3, 3: 3}
HIGHEST_TERM = {1: 5, 2: 20, 3: 60}


def text_scene(rng: Random, size: tuple[int, int], level: int) -> Scene:
    """A word, a number, two numbers to add, or (wide canvas, or level 3) two words."""
    asker = Asker(rng)
    wide = size[0] > size[1] * 1.5
    lines, caption = _write(asker, level, wide)
    canvas = Canvas(size, level, rng)
    ink = rng.choice(LIGHT_INK if canvas.dark else DARK_INK)
    regions = draw_lines(canvas, lines, wide and lines[-1].isalpha(), ink)
    whole = [r for r in regions if r.phrase.startswith(("word", "number"))]
    single = [r for r in regions if r not in whole and sum(q.phrase == r.phrase for q in regions) == 1]
    for group in (whole, single):
        if group:
            region = rng.choice(group)
            asker.add_box(region.phrase, region.box)
    return Scene("text", (Image(canvas.finished()),), caption, tuple(regions), tuple(asker.questions))


def _write(asker: Asker, level: int, wide: bool) -> tuple[list[str], str]:
    """Choose what is written, ask about it, and return the lines with their caption."""
    rng = asker.rng
    draw = rng.random()
    if (wide or level >= 3) and draw < 0.4:
        first, second = _word(rng, level), _word(rng, level)
        return [first, second], ask_two_words(asker, first, second)
    if draw < 0.55:
        word = _word(rng, level)
        return [word], ask_word(asker, word)
    if draw < 0.8:
        # The number of digits is chosen first, so that every length is equally frequent.
        digits = rng.randint(1, MOST_DIGITS[level] + (2 if wide else 0))
        number = rng.randint(10 ** (digits - 1) if digits > 1 else 0, 10**digits - 1)
        return [str(number)], ask_number(asker, number)
    one, two = rng.randint(1, HIGHEST_TERM[level]), rng.randint(1, 9)
    if rng.random() < 0.5:
        one, two = two, one
    return [str(one), f"+{two}"], ask_sum(asker, one, two)


def _word(rng: Random, level: int) -> str:
    """A word; its length is chosen first, so that lengths are equally frequent."""
    return rng.choice(WORDS[rng.choice(WORD_LENGTHS[level])])
