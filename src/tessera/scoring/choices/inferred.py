"""VLMEvalKit's rule for options, in the three versions that published scores come from.

A letter that stands alone, else the one option whose text occurs. An answer without either is wrong (its
`exact_matching`), or goes to a judge.
"""

import re
from dataclasses import dataclass

from tessera.scoring.choices.pick import Options, Pick

_FAILED = "Failed to obtain answer via API"
_REFUSALS = (
    "Sorry, I can't help with images of people yet.",
    "I can't process this file.",
    "I'm sorry, but without the image provided",
    "Cannot determine the answer",
)
_BLANKS = str.maketrans(dict.fromkeys(".()[],:;!*#{}", " "))
_ANNOUNCED = re.compile(r"answer\s+is\s+\**([ABCD])", re.IGNORECASE)
_LAST_WORDS = 4
NONE_OF_THEM = "Z"
"""What a refusal counts as."""


@dataclass(frozen=True)
class Inference:
    """A version of the rule; callable as one.

    near_end: the letter must be among the last four words, and an answer longer than twice all options is not
    searched for their texts (since 2025-08). announced: "answer is X" counts anywhere (since 2026-06), with
    the slip that "answer is a cat" means A.
    """

    near_end: bool = True
    announced: bool = True

    def __call__(self, prediction: str, options: Options) -> Pick:
        """The letter, else the text of an option, else None."""
        found = self._letter(prediction, options)
        return found or self._text(prediction, options)

    def _letter(self, prediction: str, options: Options) -> Pick | None:
        if _FAILED in prediction:
            return None
        if any(refusal in prediction for refusal in _REFUSALS):
            return Pick(NONE_OF_THEM, "refusal")
        words = prediction.translate(_BLANKS).split()
        letters = [letter for letter in options if letter in words]
        if len(letters) == 1 and not (
            self.near_end and words.index(letters[0]) <= len(words) - 1 - _LAST_WORDS
        ):
            return Pick(letters[0], "the only letter")
        if not letters and NONE_OF_THEM in words:
            return Pick(NONE_OF_THEM, "says Z")
        found = _ANNOUNCED.search(prediction) if self.announced else None
        if found and found[1].upper() in options:
            return Pick(found[1].upper(), "announced")
        return None

    def _text(self, prediction: str, options: Options) -> Pick:
        answer = prediction.lower()
        if self.near_end and len(answer) > 2 * sum(map(len, options.values())):
            return Pick(None, "no letter, and too long for a text")
        letters = [letter for letter, text in options.items() if text.lower() in answer]
        if len(letters) == 1:
            return Pick(letters[0], "text of one option")
        return Pick(None, f"no letter, texts of {len(letters)} options")
