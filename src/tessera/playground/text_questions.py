"""Questions about words and numbers; each function asks them and returns the caption."""

from __future__ import annotations

from random import Random

from tessera.playground.asker import YES_NO, Asker
from tessera.playground.words import LETTERS


def ask_word(asker: Asker, word: str) -> str:
    """One word: read it, spell it, its letters."""
    spelled = " ".join(word)
    asker.add("read", "word", word)
    asker.add("read", "spell", spelled)
    asker.add("read", "first_letter", word[0])
    asker.add("read", "last_letter", word[-1])
    asker.add("read", "letters", str(len(word)))
    for _ in range(2):
        letter, present = presence(asker.rng, word, LETTERS)
        asker.add("read", "has_letter", YES_NO[present], letter)
    return f"the word is {word}. the letters are {spelled}."


def ask_number(asker: Asker, number: int) -> str:
    """One number: read it, its digits, its size."""
    text = str(number)
    spelled = " ".join(text)
    asker.add("read", "number", text)
    asker.add("read", "spell_digits", spelled)
    asker.add("read", "first_digit", text[0])
    asker.add("read", "last_digit", text[-1])
    asker.add("read", "digits", str(len(text)))
    digit, present = presence(asker.rng, text, "0123456789")
    asker.add("read", "has_digit", YES_NO[present], digit)
    limit, over = threshold(asker.rng, number)
    asker.add("read", "over", YES_NO[over], limit)
    return f"the number is {number}. the digits are {spelled}."


def ask_sum(asker: Asker, one: int, two: int) -> str:
    """Two numbers below each other with a plus sign."""
    asker.add("read", "top_line", str(one))
    asker.add("read", "bottom_line", f"+ {two}", final=str(two))
    if one != two:
        asker.add("read", "larger_number", str(max(one, two)))
    for _ in range(2):
        asker.add("arithmetic", "add", f"{one} + {two} = {one + two}", final=str(one + two))
    number, over = threshold(asker.rng, one + two)
    asker.add(
        "arithmetic", "sum_over", f"{one} + {two} = {one + two}, {YES_NO[over]}", number, final=YES_NO[over]
    )
    return f"the top line is {one}. the bottom line is + {two}."


def ask_two_words(asker: Asker, first: str, second: str) -> str:
    """Two words."""
    asker.add("read", "first_word", first)
    asker.add("read", "second_word", second)
    asker.add("read", "both_words", f"{first} {second}")
    asker.add("read", "first_word_letters", str(len(first)))
    for word, kind in ((first, "spell_first"), (second, "spell_second")):
        asker.add("read", kind, " ".join(word))
    letter, present = presence(asker.rng, first + second, LETTERS)
    asker.add("read", "has_letter_any", YES_NO[present], letter)
    return f"the first word is {first}. the letters are {' '.join(first)}. the second word is {second}. " + (
        f"the letters are {' '.join(second)}."
    )


def presence(rng: Random, text: str, alphabet: str) -> tuple[str, bool]:
    """A character, and whether the text holds it; the answer is chosen first and is even."""
    if rng.random() < 0.5:
        return rng.choice(text), True
    return rng.choice([c for c in alphabet if c not in text]), False


def threshold(rng: Random, number: int) -> tuple[int, bool]:
    """A limit near a number, and whether the number is over it; the answer is chosen first and is even.

    The limit keeps the number of digits only by chance, so that the limit alone does not give the answer.
    """
    span = max(3, number // 2)
    over = rng.random() < 0.5 and number > 0
    if over:
        return max(0, number - rng.randint(1, span)), True
    return number + rng.randint(0, span), False
