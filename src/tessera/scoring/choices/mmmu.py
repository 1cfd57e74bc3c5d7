"""MMMU's parser of a letter, and what was made of it elsewhere."""

from dataclasses import dataclass

from tessera.scoring.choices.pick import Options, Pick, last_of

_STRIPPED = ",.!?;:'"
_SHORT = 5
"""Words up to which the texts of options are not searched, the two added spaces apart."""
_ANNOUNCED = "Answer:"
Forms = tuple[tuple[str, str], ...]
"""What is looked for, and by what the last one is found: not always the same, as published."""
STRICT: Forms = (("({})", "({})"), (" {} ", " {} "))
LOOSE: Forms = (("({})", "({})"), ("{} ", " {} "), ("{}.", " {} "))
SPACED: Forms = (("({})", " {} "), (" {} ", " {} "), ("{}.", " {} "))


@dataclass(frozen=True)
class LetterParser:
    """`(A)`, else a lone A, else the text of an option in an answer of more than five words; the last counts.

    forms: in LOOSE a letter before a space is enough, whatever stands before it, then one before a full stop
    (lmms-eval, MMMU-Pro); SPACED asks for spaces on both sides (MMT in lmms-eval, which looks for no text of
    an option: texts). announced: first the only letter behind the last `Answer:` (MMMU-Pro). Where
    nothing is found the published code draws a letter.
    """

    forms: Forms = STRICT
    texts: bool = True
    announced: bool = False

    def __call__(self, prediction: str, options: Options) -> Pick:
        """Undecided where the published code draws."""
        if self.announced and (letter := _only_letter_behind(prediction, options)):
            return Pick(letter, f"behind {_ANNOUNCED!r}")
        text = prediction
        for sign in _STRIPPED:
            text = text.strip(sign)
        text = f" {text} "
        for form, placed in self.forms:
            letters = [letter for letter in options if form.format(letter) in text]
            if letters:
                places = [(text.rfind(placed.format(letter)), letter) for letter in letters]
                return Pick(last_of(places), f"written as {form.format('X').strip()}")
        if self.texts and len(text.split()) > _SHORT:
            lowered = text.lower()
            places = [
                (lowered.rfind(option.lower()), letter)
                for letter, option in options.items()
                if option.lower() in lowered
            ]
            if places:
                return Pick(last_of(places), "text of an option")
        return Pick(None, "nothing found", tuple(options))


def _only_letter_behind(prediction: str, options: Options) -> str | None:
    at = prediction.rfind(_ANNOUNCED)
    behind = prediction[at + len(_ANNOUNCED) :] if at >= 0 else ""
    letters = [letter for letter in options if letter in behind]
    return letters[0] if len(letters) == 1 else None
