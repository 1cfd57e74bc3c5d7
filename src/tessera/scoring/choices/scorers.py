"""Scorers of options: by a rule, and the two benchmarks whose right answer is more than a letter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

from tessera.scoring.choices import by_prefix, first_sign
from tessera.scoring.choices.inferred import Inference
from tessera.scoring.choices.mmmu import LOOSE, SPACED, LetterParser
from tessera.scoring.choices.open_answers import is_right, said_in
from tessera.scoring.choices.pick import Options, Pick, Rule, drawn
from tessera.scoring.choices.ranked import mmbench, one_letter, ranked
from tessera.scoring.settings import one_of
from tessera.scoring.verdict import Reference, Scorer, Verdict

_NEWEST, _MIDDLE = Inference(), Inference(announced=False)
_OLDEST = Inference(near_end=False, announced=False)
_SPACED = LetterParser(SPACED, texts=False)
RULES: Mapping[str, Rule] = MappingProxyType(
    {
        "official": first_sign.official,
        "official-scienceqa": first_sign.science_qa,
        "official-seed": first_sign.seed_bench,
        "official-mme-realworld": by_prefix.official_real_world,
        "vlmevalkit": _NEWEST,
        "vlmevalkit@2025-08": _MIDDLE,
        "vlmevalkit@2025-07": _OLDEST,
        "vlmevalkit-mme-realworld": by_prefix.tagged_real_world,
        "vlmevalkit-videomme": by_prefix.of_video("ABCD", _NEWEST),
        "vlmevalkit-longvideobench": by_prefix.of_video("ABCDE", _NEWEST),
        "lmms-eval": ranked,
        "lmms-eval-mmbench": mmbench,
        "lmms-eval-ai2d": first_sign.letter_line,
        "lmms-eval-scienceqa": first_sign.letter_or_stop,
        "lmms-eval-seed": first_sign.first_sign,
        "lmms-eval-muirbench": first_sign.letter_or_all,
        "lmms-eval-blink": first_sign.first_letter,
        "lmms-eval-longvideobench": by_prefix.drawing,
        "lmms-eval-mme-realworld": by_prefix.real_world,
        "mmmu": LetterParser(),
        "mmmu-pro": LetterParser(LOOSE, announced=True),
        "lmms-eval-mmmu": LetterParser(LOOSE),
        "lmms-eval-mmt": lambda said, options: _SPACED(said.strip(), options),
    }
)
"""How a letter is found. A month behind @ is that of the peer's change before which the rule held on."""
MMMU_RULES: Mapping[str, Rule] = MappingProxyType(
    {name: rule for name, rule in RULES.items() if isinstance(rule, Inference | LetterParser)}
    | {"official": first_sign.official, "lmms-eval": RULES["lmms-eval-mmmu"]}
)
_LETTER = re.compile(r"\(?([A-Za-z])\)?[.:]?")
_BRACKETED = re.compile(r"\((.)\)", re.DOTALL)
OTHERS = "Other Answers"
"""The second choice that VLMEvalKit gives an open question."""


def choice_scorer(
    rules: str = "official", answer: str = "letter", letters: str = "", guess: int | None = None
) -> Scorer:
    """1 where the picked letter is a right one.

    rules: see `RULES`. answer: how the data name the right option: letter (also `(a)`), index from 0, or its
    text. letters: the options where the question's text holds them, such as ABCD. guess: a seed; where a peer
    draws at random, the letter that it draws right after seeding.
    """
    rule = RULES[one_of("rules", rules, RULES)]
    named = _ANSWERS[one_of("answer", answer, _ANSWERS)]
    _check_guess(guess, rule)

    def score(prediction: str, reference: Reference, /) -> Verdict:
        options = reference.options or dict.fromkeys(letters, "")
        return _verdict(
            rule(prediction, options), [named(text, options) for text in reference.answers], guess
        )

    return score


def mmmu_scorer(rules: str = "official", guess: int | None = None) -> Scorer:
    """MMMU: letters by a rule, answers without options by the published parser.

    With VLMEvalKit's rules an open question has two choices: the right answer, and `Other Answers`.
    """
    rule = MMMU_RULES[one_of("rules", rules, MMMU_RULES)]
    _check_guess(guess, rule)
    two_choices = isinstance(rule, Inference)

    def score(prediction: str, reference: Reference, /) -> Verdict:
        if two_choices and "A" not in reference.options:
            answer = reference.answers[0] if len(reference.answers) == 1 else str(list(reference.answers))
            right = answer if len(answer) == 1 and "A" <= answer <= "Z" else "A"
            two = {"A": answer, "B": OTHERS}
            return _verdict(rule(prediction, two | {**reference.options} | two), [right], guess)
        if reference.options:
            return _verdict(rule(prediction, reference.options), reference.answers, guess)
        said = said_in(prediction)
        right_one = is_right(said, reference.answers)
        shown = "; ".join(dict.fromkeys(str(one).strip() for one in said))
        return Verdict(float(right_one), shown, "among what is said" if right_one else "not among it")

    return score


def letter_or_text_scorer(rules: str = "lmms-eval", letters: str = "ABCD") -> Scorer:
    """A right answer that is one of the letters asks for the letter; any other for the text, in any case.

    The letter as lmms-eval ranks them; the text stripped, without full stops at its end (RealWorldQA there).
    """
    one_of("rules", rules, ("lmms-eval",))
    options = dict.fromkeys(letters, "")

    def score(prediction: str, reference: Reference, /) -> Verdict:
        rights = [answer.strip() for answer in reference.answers]
        if any(answer.upper() in options for answer in rights):
            return _verdict(ranked(prediction, options), [answer.upper() for answer in rights], None)
        said = prediction.lower().strip().rstrip(".")
        right = said in [answer.lower() for answer in rights]
        return Verdict(float(right), said, "the whole text" if right else "another text")

    return score


def mvbench_scorer(rules: str = "official") -> Scorer:
    """The first word, dots removed, is within the first word of `(A) text`, or the other way round.

    An empty first word is within any word and counts, as published (MVBench, `check_ans`); official takes out
    `Answer: `. rules: vlmevalkit strips, and asks its rule for options otherwise; vlmevalkit-mlvu wants the
    sign before the first `)`, or that rule; lmms-eval looks for one letter.
    """
    matches = _WORDS[one_of("rules", rules, _WORDS)]

    def score(prediction: str, reference: Reference, /) -> Verdict:
        rights = [_marked(text, reference.options) for text in reference.answers]
        if matches(prediction, rights):
            return Verdict(
                1.0, prediction.strip()[:40], "first word" if rules != "lmms-eval" else "one letter"
            )
        if not rules.startswith("vlmevalkit"):
            return Verdict(0.0, prediction.strip()[:40], "another word")
        pick = _NEWEST(prediction, reference.options)
        hit = pick.letter is not None and f"({pick.letter.lower()})" in rights
        return Verdict(float(hit), pick.letter, pick.why)

    return score


def _first_words(prediction: str, rights: Sequence[str]) -> bool:
    said = prediction.lower().split(" ")[0]
    return any(said.replace(".", "") in right or right in said for right in rights)


def _before_bracket(prediction: str, rights: Sequence[str]) -> bool:
    at = prediction.find(")")
    said = prediction if at < 0 else prediction[at - 1 : at] if at else ""
    return said.isupper() and f"({said.lower()})" in rights


_WORDS: Mapping[str, Callable[[str, Sequence[str]], bool]] = MappingProxyType(
    {
        "official": lambda said, rights: _first_words(said.replace("Answer: ", ""), rights),
        "vlmevalkit": lambda said, rights: _first_words(said.strip(), rights),
        "vlmevalkit-mlvu": _before_bracket,
        "lmms-eval": lambda said, rights: f"({one_letter(said).lower()})" in rights,
    }
)


def mantis_scorer(rules: str = "official") -> Scorer:
    """The letter, `(B)`, or the whole option `(B) text`; without options the same text in any case.

    Nothing is stripped (Mantis-Eval in the official harness, whose options have their letters in the data).
    """
    one_of("rules", rules, ("official",))

    def score(prediction: str, reference: Reference, /) -> Verdict:
        options = reference.options
        if not options:
            hit = prediction.lower() in [answer.lower() for answer in reference.answers]
            return Verdict(float(hit), prediction, "the whole text")
        found = _BRACKETED.fullmatch(prediction)
        said = found[1] if found else prediction
        rights = [_letter(answer, options) for answer in reference.answers]
        known = {
            letter: options[letter].removeprefix(f"({letter})").strip()
            for letter in rights
            if letter in options
        }
        whole = [f"({letter}) {text}" for letter, text in known.items()]
        return Verdict(float(said in [*rights, *whole]), said, "letter or whole option")

    return score


def _marked(answer: str, options: Options) -> str:
    """`(a)` of a letter, of the text of an option, or of `(A) text`."""
    texts = {text: letter for letter, text in options.items()}
    letter = answer if answer in options else texts.get(answer)
    return f"({letter.lower()})" if letter else answer.lower().strip().split(" ")[0]


def _check_guess(guess: int | None, rule: Rule) -> None:
    if guess is None:
        return
    if isinstance(guess, bool) or not isinstance(guess, int):
        raise ValueError(f"guess: {guess!r} is no seed; give a whole number, or nothing for no guess")
    if not rule("", {"A": "a text"}).undecided:
        raise ValueError("guess: these rules never draw at random; leave it out")


def _verdict(pick: Pick, right: list[str] | tuple[str, ...], guess: int | None) -> Verdict:
    undecided = list(pick.undecided)
    if undecided and guess is not None:
        pick = drawn(pick, guess)
    parts = {"undecided": undecided, "right": list(right)} if undecided else {}
    return Verdict(float(pick.letter in right), pick.letter, pick.why, parts)


def _letter(answer: str, options: Options) -> str:
    found = _LETTER.fullmatch(answer.strip())
    return found[1].upper() if found else answer


def _by_index(answer: str, options: Options) -> str:
    letters = list(options)
    try:
        return letters[int(answer)] if int(answer) >= 0 else letters[len(letters)]
    except (ValueError, IndexError):
        raise ValueError(
            f"answer: {answer[:40]!r} is no index of the {len(letters)} options; set the scorer's `answer` "
            "to letter or text"
        ) from None


def _by_text(answer: str, options: Options) -> str:
    for letter, text in options.items():
        if text == answer:
            return letter
    raise ValueError(f"answer: no option is {answer[:80]!r}; set the scorer's `answer` to letter or index")


_ANSWERS: Mapping[str, Callable[[str, Options], str]] = MappingProxyType(
    {"letter": _letter, "index": _by_index, "text": _by_text}
)
