"""What a score hides: loops, bias to yes, the order of options, questions that need no picture."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.evaluation.robustness.blind import gain_over_blind
from tessera.evaluation.robustness.option_order import MARK, OptionOrder, rotated, rotations_of
from tessera.evaluation.robustness.replies import ReplyFaults, repeats_itself
from tessera.evaluation.robustness.summary import robustness_of, unrotated
from tessera.evaluation.robustness.yes_bias import YesBias
from tessera.scoring.verdict import OVERALL, Graded, Reference, Verdict
from tests.evaluation.graded import Mean, graded


def reply(index: object, text: str, extracted: str | None = "x") -> Graded:
    return Graded(str(index), text, Verdict(0.0, extracted))


@pytest.mark.parametrize(
    ("text", "loops"),
    [
        ("wait, let me look again. " * 20, True),
        ("不对，再看一遍。" * 30, True),
        ("0" * 200, True),
        ("aaaa" * 40, True),
        ("the same line of words\n" * 12, True),
        ("yes", False),
        ("", False),
        ("A red cube stands left of a blue ball, and behind both there is a green cone.", False),
        ("\\begin{tabular}{lll}\n1 & 2 & 3 \\\\\n4 & 5 & 6 \\\\\n7 & 8 & 9 \\\\\n\\end{tabular}", False),
        ("no no no", False),
    ],
)
def test_loops(text: str, loops: bool) -> None:
    assert repeats_itself(text) is loops


def test_reply_faults() -> None:
    answers = [reply(0, "", None), reply(1, "so, so. " * 40, None), reply(2, "B"), reply(3, "a long", "x")]
    found = ReplyFaults(frozenset({"3"}))(answers)
    assert found == {"no answer found": 50, "empty": 25, "cut off": 25, "repeated text": 25}
    assert [ReplyFaults().faults(one) for one in answers][0] == ("empty", "no answer found")


def yes_no(right: str, said: str) -> Graded:
    return Graded(f"{right}{said}", said, Verdict(float(right == said), said), Reference((right,)))


def test_yes_bias() -> None:
    answers = (
        [yes_no("yes", "yes")] * 5 + [yes_no("no", "yes")] * 3 + [yes_no("no", "no"), yes_no("no", "maybe")]
    )
    found = YesBias()([*answers, yes_no("red", "yes")])
    assert found == {
        "yes bias": pytest.approx(30),
        "yes said": 80,
        "yes right": 50,
        "right where yes is": 100,
        "right where no is": 20,
    }
    assert YesBias()([yes_no("red", "yes")]) == {}


@pytest.mark.parametrize(
    ("text", "extracted", "parts", "said"),
    [
        ("Yes, there is.", None, {}, 100),
        ("No.", None, {}, 0),
        ("There is no cat", None, {}, 0),
        ("whatever", "Yes", {}, 100),
        ("no", "no", {"said": "yes", "right": "no"}, 100),
    ],
)
def test_what_was_said(text: str, extracted: str | None, parts: dict[str, str], said: float) -> None:
    one = Graded("1", text, Verdict(0.0, extracted, parts=parts), Reference(("no", "No")))
    assert YesBias()([one])["yes said"] == said


OPTIONS = {"A": "cat", "B": "dog", "C": "cow", "D": "hen"}


def test_rotations() -> None:
    fields = {"A": "cat", "B": "dog", "answer": "B", "category": "B"}
    asked = Reference(("B",), OPTIONS, "Which?", fields)
    found = list(rotations_of("7", asked))
    assert [index for index, _ in found] == [f"7{MARK}{step}" for step in (1, 2, 3)]
    assert [one.answers for _, one in found] == [("C",), ("D",), ("A",)]
    assert all(one.options[one.answers[0]] == "dog" and [*one.options] == [*"ABCD"] for _, one in found)
    assert found[0][1].fields == {"A": "hen", "B": "cat", "answer": "C", "category": "B"}
    assert [index for index, _ in rotations_of("7", asked, 1)] == [f"7{MARK}1"]
    assert list(rotations_of("7", Reference(("dog",), OPTIONS), 2))[1][1].answers == ("dog",)


@pytest.mark.parametrize(
    "asked", [Reference(("A",), {"A": "one"}), Reference(("E",), OPTIONS), Reference(("x",))]
)
def test_what_cannot_be_rotated(asked: Reference) -> None:
    assert list(rotations_of("7", asked)) == []


@given(st.integers(2, 7), st.integers(0, 6), st.integers(0, 9))
def test_rotations_keep_right_and_turn_back(count: int, right: int, step: int) -> None:
    letters = "ABCDEFG"[:count]
    asked = Reference((letters[right % count],), {letter: f"option {letter}" for letter in letters})
    turned = rotated(asked, step)
    assert turned.options[turned.answers[0]] == asked.options[asked.answers[0]]
    assert rotated(turned, -step) == asked


def orders(choose: object, questions: int = 4) -> list[Graded]:
    """Every question with all rotations, answered by a rule from the reference to a letter."""
    asked = []
    for number in range(questions):
        first = Reference(("ABCD"[number % 4],), OPTIONS, f"Which {number}?")
        for index, one in [(str(number), first), *rotations_of(str(number), first)]:
            letter = choose(one)  # type: ignore[operator]
            asked.append(Graded(index, letter, Verdict(float(letter in one.answers), letter), one))
    return asked


def test_a_model_that_knows_is_consistent() -> None:
    found = OptionOrder()(orders(lambda one: one.answers[0]))
    assert found["same choice in every order"] == found["right in every order"] == 100
    assert all(
        found[f"right option at {letter}"] == 100 and found[f"bias to {letter}"] == 0 for letter in "ABCD"
    )


def test_a_model_that_says_a_is_found_out() -> None:
    """Its accuracy is 25 % like that of a guess, and every order has another choice."""
    answers = orders(lambda one: "A")
    found = OptionOrder()(answers)
    assert found["same choice in every order"] == found["right in every order"] == 0
    assert (found["right option at A"], found["right option at B"]) == (100, 0)
    assert (found["bias to A"], found["bias to B"]) == (75, -25)
    assert Mean()(unrotated(answers))[OVERALL] == 25


def test_a_model_that_always_chooses_cats_is_consistent() -> None:
    cat = OptionOrder()(
        orders(lambda one: next(letter for letter, text in one.options.items() if text == "cat"))
    )
    assert (cat["same choice in every order"], cat["right in every order"]) == (100, 25)


def test_rotations_in_the_data() -> None:
    """As MMBench has them: an index of its own for each, the unit's column in common."""
    answers = [
        Graded(
            str(at), "A", Verdict(1.0, "A"), Reference(("A",), one.reference.options, one.reference.question)
        )
        for at, one in enumerate(orders(lambda one: "A"))
    ]
    assert OptionOrder()(answers) == {}
    assert OptionOrder(lambda one: str(int(one.index) // 4))(answers)["same choice in every order"] == 0


def test_questions_of_a_picture_are_no_orders() -> None:
    answers = [Graded(str(n), "A", Verdict(1.0, "A"), Reference(("A",), OPTIONS, f"q{n}")) for n in range(4)]
    assert OptionOrder(lambda one: "picture")(answers) == {}


def test_gain_over_blind() -> None:
    seen, blind = graded([1, 1, 1, 0]), graded([0, 1, 0, 0])[:3]
    gain = gain_over_blind(blind, seen, Mean())[OVERALL]
    assert gain.difference == pytest.approx(200 / 3) and gain.one == pytest.approx(100 / 3)
    with pytest.raises(ValueError, match="no question was answered both"):
        gain_over_blind([], seen, Mean())


def test_summary_leaves_out_what_does_not_apply() -> None:
    assert list(robustness_of(graded([1, 0, 1]))) == ["replies", "yes and no"]
    found = robustness_of(orders(lambda one: "A", 12), cut_off=frozenset({"0"}))
    assert list(found) == ["replies", "order of options"]
    assert found["order of options"].units == 12
    low, high = found["order of options"]["same choice in every order"]
    assert low == 0 and 0 < high < 40 and not math.isnan(found["replies"]["cut off"][1])
