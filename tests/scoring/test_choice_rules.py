"""Which option an answer means: tables written from the published rules (docs/facts/evaluation.md)."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.choices.figures import circular_figures, mmmu_figures
from tessera.scoring.choices.scorers import (
    MMMU_RULES,
    RULES,
    choice_scorer,
    letter_or_text_scorer,
    mantis_scorer,
    mmmu_scorer,
    mvbench_scorer,
)
from tessera.scoring.verdict import OVERALL, Graded, Reference, Verdict

FOUR = {"A": "red", "B": "a blue car", "C": "green", "D": "blue"}
NUMBERS = {"A": "12", "B": "120", "C": "1,200", "D": "3.5"}

# One line an answer: as Python text, then the letter of each rule in the head's order.
FIRST_SIGN = """
official official-scienceqa official-seed lmms-eval-seed lmms-eval-scienceqa lmms-eval-ai2d
'B'                      B B B B B B
'b'                      b b b B B B
' C '                    C C C C C -
'C.'                     C C C C C C
'D. blue'                D D D D D D
'(B)'                    (B) B ( ( (B) B
'(B) a blue car'         B B B ( - -
'Blue'                   B B B B - -
'E'                      E E E E E E
'E. none'                E. none|E|E|E|E|E
'the green one'          C C C T - -
'a red and green one'    A A A A - -
'the blue car'           D D D T - -
'Answer: B'              A A A A - -
''                       - - - - - -
'\\n'                    - - - - - -
'绿色'                    绿色|绿色|绿|绿|绿色|绿色
"""


def rows(table: str) -> list[tuple[str, str, str]]:
    """(rule, answer, letter); `-` is an empty letter, and a rule's letter may hold spaces between `|`."""
    head, *lines = table.strip().splitlines()
    found = []
    for line in lines:
        quote = line[0]
        end = line.rindex(quote) + 1
        letters = line[end:].split("|") if "|" in line[end:] else line[end:].split()
        assert len(letters) == len(head.split()), line
        found += [
            (rule, eval(line[:end]), letter.strip())
            for rule, letter in zip(head.split(), letters, strict=True)
        ]
    return found


def letter_of(rule: str, answer: str, options: dict[str, str]) -> str:
    return RULES[rule](answer, options).letter or "-"


@pytest.mark.parametrize(("rule", "answer", "letter"), rows(FIRST_SIGN))
def test_rules_of_the_first_sign(rule: str, answer: str, letter: str) -> None:
    found = letter_of(rule, answer, FOUR)
    # lmms-eval's whole answers are no letters: all that counts is that they are none
    assert found == letter if letter != "-" else found not in FOUR


INFERRED = """
vlmevalkit vlmevalkit@2025-08 vlmevalkit@2025-07
'B'                                             B B B
'(B)'                                           B B B
'B.'                                            B B B
'**B**'                                         B B B
'b'                                             - - -
'A or B'                                        - - -
'A, B and C'                                    - - -
'The answer is B'                               B B B
'The answer is A and B'                         A - -
'B is what I would say of it here'              - - B
'I would say of all it is B here'               B B B
'So B it is now'                                B B B
'So B it is here now'                           - - B
'So B it is here right now'                     - - B
'The answer is B because the car has that hue'  B - B
'the correct answer is **c** as one sees it'    C - -
'My answer is a guess'                          A - -
'answer is about it'                            A - -
'answer is E'                                   - - -
'the answer is D. One sees it at once, really'  D - D
'green'                                         C C C
'It is green.'                                  C C C
'a blue car'                                    - - -
'the car is green, very green and it stands at the wall of a house' - - C
'red, or green'                                 - - -
'Z'                                             Z Z Z
'Z. none of them'                               Z Z Z
'Cannot determine the answer'                   Z Z Z
"I can't process this file. B"                  Z Z Z
"I'm sorry, but without the image provided, B"  Z Z Z
'Failed to obtain answer via API'               - - -
'Failed to obtain answer via API: green'        C C C
'Failed to obtain answer via API: C'            - - -
''                                              - - -
'F'                                             - - -
'#B#'                                           B B B
'B:C'                                           - - -
'{D}'                                           D D D
'A?'                                            - - -
'A!'                                            A A A
'选B'                                            - - -
'选 B。'                                          - - -
'选 B'                                           B B B
"""


@pytest.mark.parametrize(("rule", "answer", "letter"), rows(INFERRED))
def test_vlmevalkits_rule_in_three_versions(rule: str, answer: str, letter: str) -> None:
    assert letter_of(rule, answer, FOUR) == letter


RANKED = """
lmms-eval lmms-eval-mmbench
'B'                              B B
'B.'                             B B
'(B)'                            B B
' (B) '                          B B
'the answer is (C).'             C C
'The answer is C, not B'         B B
'I think B. But the answer: D'   D D
'B or C: C'                      B C
'C) green'                       C C
'A dog stands there'             A A
'a dog: B'                       B B
'A blue car'                     A A
'A cat or B'                     A A
'I choose D because of A'        A A
'D is right'                     D D
'答案是C'                         C C
'选 B 吧'                         B B
'정답은 D'                         D D
'green'                          - C
'AB'                             B B
'Because'                        B B
''                               - -
' '                              - -
'... '                           - -
'E'                              - E
"""


@pytest.mark.parametrize(("rule", "answer", "letter"), rows(RANKED))
def test_rules_of_lmms_eval(rule: str, answer: str, letter: str) -> None:
    assert letter_of(rule, answer, FOUR) == letter


PREFIXED = """
official-mme-realworld vlmevalkit-mme-realworld lmms-eval-mme-realworld vlmevalkit-videomme
'B'                                     B B B B
'The best answer is: (D)'               D D D D
'The best option is B'                  B B B B
'Best answer: C'                        C C C B
'Best option: C'                        C C C B
'Option: C'                             C C C C
'Answer: C'                             A A A C
'Dark, so A'                            D D D D
'<answer> b </answer>'                  - B - -
'<answer>none</answer> B'               B E B B
'red'                                   A - - A
'gree'                                  C - - -
'b'                                     B B B -
''                                      A A A -
'it is not clear from this picture what the car may cost' - - - -
'it is not clear from this picture what the Car may cost' C C C C
'E'                                     E E E -
"""


@pytest.mark.parametrize(("rule", "answer", "letter"), rows(PREFIXED))
def test_rules_with_phrases(rule: str, answer: str, letter: str) -> None:
    assert letter_of(rule, answer, FOUR) == letter


MMMU = """
mmmu mmmu-pro lmms-eval-mmmu
'B'                                       B B B
'(B)'                                     B B B
'B.'                                      B B B
'B) 120'                                  - - -
'B: 120'                                  - - -
'B. 120'                                  - B B
'It is (A), no, (C)'                      C C C
'(C) or (A)'                              A A A
'C or A or C'                             C C C
'not A but D'                             D D D
'the plan B is good, A is not'            A A A
'planB is'                                - B B
'Answer: C'                               C C C
'Answer: (A) or Answer: (D)'              D D D
'Answer: C, since 12 is not (B)'          B B B
'Answer: C, since 12 is not 3'            A C A
'the value we look for is 3.5'            D D D
'3.5'                                     - - -
'one two three four five 120 and 12'      A A A
'one two three four five 1,200'           C C C
''                                        - - -
"it's 'D'"                                - D D
"'D'"                                     D D D
'D!?'                                     - - -
'D?!'                                     D D D
"""


@pytest.mark.parametrize(("rule", "answer", "letter"), rows(MMMU))
def test_mmmus_parser_of_letters(rule: str, answer: str, letter: str) -> None:
    assert letter_of(rule, answer, NUMBERS) == letter


def test_where_a_peer_draws_nothing_is_drawn_unless_a_seed_asks_for_it() -> None:
    asked = Reference(("C",), NUMBERS)
    silent = choice_scorer("mmmu")("no idea", asked)
    assert (silent.score, silent.extracted, silent.parts["undecided"]) == (0.0, None, list("ABCD"))
    for seed in range(20):
        random.seed(seed)
        letter = random.choice(list("ABCD"))
        told = choice_scorer("mmmu", guess=seed)("no idea", asked)
        assert told.extracted == letter and told.score == float(letter == "C")
        assert f"seed {seed}: {letter}" in told.why
    with pytest.raises(ValueError, match="guess: these rules never draw"):
        choice_scorer("official", guess=1)
    with pytest.raises(ValueError, match="guess: 'x' is no seed"):
        choice_scorer("mmmu", guess="x")  # type: ignore[arg-type]


def test_a_replayed_run_draws_in_the_order_of_its_questions() -> None:
    scorer = mmmu_scorer("mmmu")
    asked = [Reference(("B",), NUMBERS), Reference(("A",), {"A": "x", "B": "y"}), Reference(("D",), NUMBERS)]
    said = ["no idea", "B", "no idea"]
    graded = [
        Graded(f"validation_Art_{at}", text, scorer(text, reference), reference)
        for at, (text, reference) in enumerate(zip(said, asked, strict=True))
    ]
    for seed in range(10):
        generator = random.Random(seed)
        first, last = generator.choice("ABCD"), generator.choice("ABCD")
        expected = 100 * ((first == "B") + (last == "D")) / 3
        assert mmmu_figures(guess=seed)(graded)[OVERALL] == pytest.approx(expected)
    assert mmmu_figures()(graded) == {OVERALL: 0.0, "domain=Art and Design": 0.0, "subject=Art": 0.0}


@pytest.mark.parametrize(
    ("how", "given", "right"),
    [("letter", "b", "B"), ("letter", "(B)", "B"), ("letter", "B.", "B"), ("index", "1", "B")]
    + [("text", "a blue car", "B"), ("letter", "AB", "AB")],
)
def test_how_the_data_name_the_right_option(how: str, given: str, right: str) -> None:
    scorer = choice_scorer("official", answer=how)
    assert scorer(right[0], Reference((given,), FOUR)).score == float(len(right) == 1)
    assert scorer("C", Reference((given,), FOUR)).score == 0


def test_bad_settings_and_data_are_named() -> None:
    with pytest.raises(ValueError, match="rules is 'best': give one of official"):
        choice_scorer("best")
    with pytest.raises(ValueError, match="answer is 'number': give one of letter"):
        choice_scorer(answer="number")
    for answer in ("7", "-1", "B"):
        with pytest.raises(ValueError, match="is no index of the 4 options"):
            choice_scorer(answer="index")("A", Reference((answer,), FOUR))
    with pytest.raises(ValueError, match="no option is 'pink'"):
        choice_scorer(answer="text")("A", Reference(("pink",), FOUR))


def test_options_within_the_question_are_named_by_the_letters_setting() -> None:
    assert choice_scorer("lmms-eval", letters="ABCD")("E or (D)", Reference(("D",))).score == 1
    assert choice_scorer("lmms-eval")("the answer: (H)", Reference(("H",))).score == 1
    assert choice_scorer("vlmevalkit", letters="AB")("B", Reference(("B",))).score == 1


MVBENCH = [  # answer, official, VLMEvalKit's MVBench and MLVU, lmms-eval
    ("(B) blue", 1, 1, 1, 1), ("B", 1, 1, 1, 1), ("B.", 1, 1, 1, 1), ("b", 1, 1, 0, 1), ("(b", 1, 1, 0, 1),
    ("C", 0, 0, 0, 0), ("Answer: B", 1, 1, 1, 1), ("", 1, 1, 0, 0), (" C", 1, 0, 0, 0),
    ("blue", 0, 1, 1, 0), ("(B)blue", 1, 1, 1, 1), ("The B", 0, 1, 1, 1), (".", 1, 1, 0, 0),
    ("(", 1, 1, 0, 0), ("C) but B)", 0, 0, 0, 0), ("x (B)", 0, 1, 1, 1), (") B", 1, 1, 1, 1),
    ("B. blue", 1, 1, 1, 1), ("a blue one", 0, 1, 1, 0), ("Z", 0, 0, 0, 0), ("(b) blue", 1, 1, 1, 1),
]  # fmt: skip


@pytest.mark.parametrize(("said", "official", "kit", "mlvu", "lmms"), MVBENCH)
def test_mvbench_compares_first_words(said: str, official: int, kit: int, mlvu: int, lmms: int) -> None:
    for answer in ("B", "blue", "(B) blue"):
        asked = Reference((answer,), {"A": "red", "B": "blue", "C": "green"})
        assert mvbench_scorer()(said, asked).score == official
        assert mvbench_scorer("vlmevalkit")(said, asked).score == kit
        assert mvbench_scorer("vlmevalkit-mlvu")(said, asked).score == mlvu
        assert mvbench_scorer("lmms-eval")(said, asked).score == lmms


LETTER_OR_TEXT = [  # reply, right, score
    ("A", "A", 1), ("The answer is B.", "B", 1), ("the B", "B", 1), ("b", "B", 0), ("(C)", " c", 1),
    ("A B", "A", 1), ("A B", "B", 0), ("North%", "North", 0), ("north..", "North", 1), (" 2. ", "2", 1),
    ("2", "2.", 0), ("E", "E", 1), ("", "A", 0),
]  # fmt: skip


@pytest.mark.parametrize(("said", "right", "score"), LETTER_OR_TEXT)
def test_an_answer_that_is_a_letter_or_a_text(said: str, right: str, score: int) -> None:
    assert letter_or_text_scorer()(said, Reference((right,))).score == score


SPACED = [  # reply, letter
    ("A", "A"), ("\nA", "A"), ("(B) or (C)", "B"), ("(B) or C (C)", "C"), ("-D", None), ("It is A, so", None),
    ("xB.x", "B"), ("not A but D", "D"), ("it is a picture of 120 in all", None),
]  # fmt: skip


@pytest.mark.parametrize(("said", "letter"), SPACED)
def test_mmt_looks_for_letters_between_spaces(said: str, letter: str | None) -> None:
    assert letter_of("lmms-eval-mmt", said, FOUR) == (letter or "-")


MANTIS = [
    ("B", 1), ("(B)", 1), ("blue", 0), ("(B) blue", 1), ("b", 0), ("B.", 0), ("Blue", 0), (" B", 0),
    ("C", 0), ("", 0), ("(BB)", 0),
]  # fmt: skip


@pytest.mark.parametrize(("said", "score"), MANTIS)
def test_mantis_takes_a_letter_or_a_whole_option(said: str, score: int) -> None:
    asked = Reference(("B",), {"A": "red", "B": "blue", "C": "green"})
    assert mantis_scorer()(said, asked).score == score
    assert mantis_scorer()(said.upper(), Reference((said.lower(),))).score == 1
    assert mantis_scorer()(said + ".", Reference((said,))).score == 0


def turns(scores: dict[str, float], **fields: object) -> list[Graded]:
    return [
        Graded(index, "", Verdict(score), Reference((), fields={**fields, "index": index}))
        for index, score in scores.items()
    ]


def test_a_question_counts_when_every_rotation_is_right() -> None:
    graded = turns({"1": 1, "1000001": 1, "2000001": 1, "2": 1, "1000002": 0, "3": 0, "1000004": 1}, kind="x")
    found = circular_figures("kind")(graded)
    assert (
        found[OVERALL] == found["kind=x"] == pytest.approx(100 / 3)
    )  # 4 has no unrotated row: it does not count
    assert circular_figures(group="kind")(turns({"5": 1, "9": 0}, kind=5))[OVERALL] == 0
    assert circular_figures(group="kind")(turns({"5": 1, "9": 1}, kind=5))[OVERALL] == 100
    with pytest.raises(ValueError, match="'x1' is no whole number"):
        circular_figures()(turns({"x1": 1}))


def test_mmmus_subjects_and_domains() -> None:
    graded = turns({"validation_Art_1": 1, "validation_Art_Theory_2": 0, "validation_Math_1": 1})
    found = mmmu_figures()(graded)
    assert found[OVERALL] == pytest.approx(200 / 3) and found["domain=Art and Design"] == 50
    assert (found["subject=Art"], found["subject=Art_Theory"], found["domain=Science"]) == (100, 0, 100)
    by_column = mmmu_figures(subject="subject")(turns({"7": 1}, subject="Art Theory"))
    assert by_column == {OVERALL: 100, "domain=Art and Design": 100, "subject=Art_Theory": 100}


TEXTS = st.text(st.sampled_from("ABCDabcdZ ().:,*\n答案是 answer is the green"), max_size=40)


@given(TEXTS, st.sampled_from(sorted(RULES)))
def test_a_rule_takes_any_text_and_says_the_same_again(text: str, rule: str) -> None:
    pick = RULES[rule](text, FOUR)
    assert pick == RULES[rule](text, dict(FOUR)) and pick.why
    assert pick.letter is None or not pick.undecided


@given(TEXTS, st.sampled_from(["official", "vlmevalkit", "lmms-eval-seed", "official-scienceqa"]))
def test_outer_space_changes_nothing(text: str, rule: str) -> None:
    assert RULES[rule](f" {text.strip()}\n", FOUR).letter == RULES[rule](text.strip(), FOUR).letter


@given(st.permutations(list(FOUR)), st.sampled_from(sorted(MMMU_RULES)))
def test_the_order_of_options_does_not_matter_to_a_lone_letter(order: list[str], rule: str) -> None:
    options = {letter: FOUR[letter] for letter in order}
    assert all(MMMU_RULES[rule](letter, options).letter == letter for letter in FOUR)
