"""Questions about words and numbers; each function asks them and returns the caption."""

from random import Random

from tessera.playground.questions.asker import YES_NO, Asker
from tessera.playground.questions.words import LETTER_POOL


def ask_word(asker: Asker, word: str) -> str:
    """One word: read it, spell it, its letters."""
    spelled = " ".join(word)
    ends = {"first_letter": word[0], "last_letter": word[-1]}
    asker.add_all("read", word=word, spell=spelled, **ends, letters=str(len(word)))
    for _ in range(2):
        letter, present = presence(asker.rng, word, LETTER_POOL)
        asker.add("read", "has_letter", YES_NO[present], letter)
    return f"the word is {word}. the letters are {spelled}."


def ask_number(asker: Asker, number: int) -> str:
    """One number: read it, its digits, its size."""
    text = str(number)
    spelled = " ".join(text)
    ends = {"first_digit": text[0], "last_digit": text[-1]}
    asker.add_all("read", number=text, spell_digits=spelled, **ends, digits=str(len(text)))
    digit, present = presence(asker.rng, text, "0123456789")
    asker.add("read", "has_digit", YES_NO[present], digit)
    limit, over = threshold(asker.rng, number)
    asker.add("read", "over", YES_NO[over], limit)
    return f"the number is {number}. the digits are {spelled}."


def ask_sum(asker: Asker, one: int, two: int) -> str:
    """Two numbers below each other with a plus sign."""
    total, rng = one + two, asker.rng
    asker.add_all("read", top_line=str(one), bottom_line=str(two))
    if one != two:
        asker.add("read", "larger_number", str(max(one, two)))
    for _ in range(2):
        asker.add_steps("add", "", (one, "+", two))
    over, distance = rng.random() < 0.5, rng.randint(1, 4)
    limit = total - distance if over else total + distance - 1
    asker.add("arithmetic", "sum_over", f"{one} + {two} = {total}, {YES_NO[over]}", limit, final=YES_NO[over])
    return f"the top line is {one}. the bottom line is + {two}."


def ask_two_words(asker: Asker, first: str, second: str) -> str:
    """Two words."""
    one, two = " ".join(first), " ".join(second)
    asker.add_all("read", first_word=first, second_word=second, both_words=f"{first} {second}")
    asker.add_all("read", first_word_letters=str(len(first)), spell_first=one, spell_second=two)
    letter, present = presence(asker.rng, first + second, LETTER_POOL)
    asker.add("read", "has_letter_any", YES_NO[present], letter)
    said = f"the first word is {first}. the letters are {one}."
    return f"{said} the second word is {second}. the letters are {two}."


def presence(rng: Random, text: str, pool: str) -> tuple[str, bool]:
    """A character, and whether the text holds it; the answer is chosen first and is even.

    `pool` holds characters as often as texts do, so that a rare letter is no hint; it must hold one that the
    text lacks.
    """
    if rng.random() < 0.5:
        return rng.choice(text), True
    character = rng.choice(pool)
    while character in text:
        character = rng.choice(pool)
    return character, False


def threshold(rng: Random, number: int) -> tuple[int, bool]:
    """A limit near a number, and whether the number is over it; the answer is chosen first and is even.

    The distance does not depend on the answer, and the limit has as many digits as the number: so the limit
    alone tells almost nothing.
    """
    digits = len(str(number))
    low, high = (10 ** (digits - 1) if digits > 1 else 0), 10**digits - 1
    distance = rng.randint(1, (3, 12, 90)[digits - 1] if digits < 4 else 900)
    over = rng.random() < 0.5
    limit = number - distance if over else number + distance
    if not low <= limit <= high:
        limit, over = (number + distance, False) if over else (number - distance, True)
    return limit, over
