"""Yes or no: what answers say by each rule, and the figures of MME, POPE, HallusionBench and AMBER."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tessera.scoring.verdict import OVERALL, Graded, Reference, Verdict
from tessera.scoring.yes_no.figures import (
    amber_figures,
    hallusion_figures,
    mme_figures,
    pope_figures,
    yes_no_figures,
)
from tessera.scoring.yes_no.said import RULES
from tessera.scoring.yes_no.scorers import mme_scorer, pope_scorer, yes_no_scorer

NAMES = ("official-mme", "lmms-eval-mme", "official-pope", "vlmevalkit", "lmms-eval-pope")
LETTERS = {"y": "yes", "n": "no", "-": "other"}
SAID = [
    ("yes", "y y y y y"), ("no", "n n n n n"), ("Yes", "y y y y y"), ("NO", "n n y n n"),
    ("No", "n n n n n"), ("Yes.", "y y y y -"), ("No.", "n n n n -"), ("No, it is not", "n n n n -"),
    ("yes, a dog", "y y y y -"), ("There is no dog", "- - n n -"), ("There is not", "- - n - -"),
    ("It isn't. No", "- - y n -"), ("y", "- y y - -"), ("n", "- n y - -"), ("Y.", "- y y - -"),
    ("x", "- - y - -"), ("", "- - y - -"), (" yes", "y y y y y"), ("  no", "n n n n n"),
    ("   no", "- n n n n"), ("know", "n n y - -"), ("note", "n n y - -"), ("true", "y - y - -"),
    ("False", "n - y - -"), ("是", "y - y - -"), ("不是", "n - y - -"), ("否", "n - y - -"),
    ("是的。", "y - y - -"), ("不", "- - y - -"), ("这是", "y - y - -"), ("yes and no", "y y n - -"),
    ("no or yes", "n n n - -"), ("Yes\nno", "y y y - -"), ("n\no", "n - y - -"), ("yes!", "y y y y -"),
    ("(yes)", "y y y y -"), ("[no]", "n n y n -"), ("yes/no", "y y y - -"), ("no-one", "n n y n -"),
    ("yes: no.", "y y n n -"), ("The answer is yes", "- - y y -"), ("the answer is no", "- - n n -"),
    ("a no.", "n n n n -"), ("not", "n n n - -"), ("nothing", "n n y - -"), ("3.no", "n n y - -"),
    ("1,000 yes", "- - y y -"), ("e.g. no", "- - y n -"), ("none", "n n y - -"),
    ("yes no not", "y y n - -"), ("ye s", "- - y - -"), ("NO dog", "n n y n -"), ("yesterday", "y y y - -"),
    ("No\n", "n n y n n"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "rule", "letter"), [
    (text, rule, letter)
    for text, letters in SAID
    for rule, letter in zip(NAMES, letters.split(), strict=True)
])  # fmt: skip
def test_what_an_answer_says(text: str, rule: str, letter: str) -> None:
    assert RULES[rule](text) == LETTERS[letter]


@given(st.text(max_size=60), st.sampled_from(NAMES))
def test_a_rule_says_one_of_three_of_any_text(text: str, rule: str) -> None:
    assert RULES[rule](text) in LETTERS.values()


@given(st.text(st.sampled_from("YESNOyesno .,"), max_size=20))
def test_case_does_not_matter_but_to_pope(text: str) -> None:
    for rule in set(NAMES) - {"official-pope"}:
        assert RULES[rule](text) == RULES[rule](text.lower()) == RULES[rule](text.upper())


def graded(scorer, rows: list[tuple[str, str]], **columns: list[object]) -> list[Graded]:
    found = []
    for at, (said, right) in enumerate(rows):
        fields = {name: values[at] for name, values in columns.items()}
        asked = Reference((right,), fields=fields)
        found.append(Graded(str(fields.get("index", at)), said, scorer(said, asked), asked))
    return found


def test_mme_adds_accuracy_and_pictures_with_both_right() -> None:
    rows = [("yes", "Yes"), ("no", "No"), ("yes", "Yes"), ("yes", "No"), ("no", "yes"), ("no", "no")]
    category = ["count"] * 4 + ["code_reasoning"] * 2
    found = mme_figures()(graded(mme_scorer(), rows, category=category))
    assert found["category=count"] == 75 + 50 and found["category=code_reasoning"] == 50 + 0
    assert (found["perception"], found["cognition"], found[OVERALL]) == (125, 50, 175)
    shuffled = [rows[at] for at in (0, 2, 1, 3)]
    picture = mme_figures(picture="image")(
        graded(mme_scorer("vlmevalkit"), shuffled, category=["count"] * 4, image=["a", "b", "a", "b"])
    )
    assert picture["category=count"] == 125
    with pytest.raises(ValueError, match="has no column 'category'"):
        mme_figures()(graded(mme_scorer(), rows))


def test_popes_overall_differs_by_house() -> None:
    rows = [("yes", "yes"), ("no", "no"), ("yes", "no"), ("no", "yes"), ("yes", "yes"), ("perhaps", "yes")]
    category = ["random"] * 3 + ["popular"] * 3
    official = pope_figures()(graded(pope_scorer(), rows, category=category))
    assert (
        official["category=random: f1"] == pytest.approx(200 / 3) and official["category=popular: f1"] == 80
    )
    assert official[OVERALL] == pytest.approx((200 / 3 + 80) / 2)  # "perhaps" is yes
    kit = pope_figures(rules="vlmevalkit")(graded(pope_scorer("vlmevalkit"), rows, category=category))
    assert kit[OVERALL] == pytest.approx(100 * 2 * (2 / 3) * 0.5 / (2 / 3 + 0.5))
    lmms = pope_figures(rules="lmms-eval")(graded(pope_scorer("lmms-eval"), rows, category=category))
    assert lmms["recall"] == pytest.approx(200 / 3) and lmms["precision"] == pytest.approx(200 / 3)
    assert lmms["yes_ratio"] == 50 and lmms["yes_ratio_right"] == pytest.approx(400 / 6)


def test_a_row_of_several_categories_counts_in_each() -> None:
    found = pope_figures(rules="vlmevalkit")(
        graded(
            pope_scorer("vlmevalkit"), [("yes", "yes"), ("no", "yes")], category=["random,popular", "random"]
        )
    )
    assert found["category=popular: f1"] == 100 and found["category=random: recall"] == 50
    assert found["recall"] == pytest.approx(200 / 3)
    silent = graded(pope_scorer("vlmevalkit"), [("", "no")], category=["random"])
    assert pope_figures(rules="vlmevalkit")(silent)[OVERALL] == 0
    assert pope_figures(category=None)(silent)["f1"] == 0


def test_hallusion_counts_figures_and_questions_as_a_whole() -> None:
    names = ["VD_ocr_1_0_1_0", "VD_ocr_1_0_1_1", "VD_ocr_1_0_2_0", "VD_ocr_1_1_1_0"]
    rows = [("yes", "1"), ("no", "1"), ("no", "0"), ("yes", "1")]
    found = hallusion_figures()(graded(yes_no_scorer(), rows, index=names))
    assert found["aAcc"] == 75
    assert found["fAcc"] == pytest.approx(200 / 3)  # 0_1 wrong, 0_2 right, 1_1 right
    assert found["qAcc"] == pytest.approx(200 / 3)  # question 0 of set 0, 1 of set 0, 0 of set 1
    assert found[OVERALL] == pytest.approx((75 + 400 / 3) / 3)
    columns = {"set_id": [0, 0, 0, 1], "figure_id": [1, 1, 2, 1], "question_id": [0, 1, 0, 0]}
    assert hallusion_figures()(graded(yes_no_scorer(), rows, **columns)) == found
    with pytest.raises(ValueError, match="no column 'set_id', and the index no part 4"):
        hallusion_figures()(graded(yes_no_scorer(), rows[:1]))


def test_amber_is_the_mean_of_three_kinds() -> None:
    category = ["discriminative-attribute-state", "discriminative-attribute-action", "relation"]
    found = amber_figures()(
        graded(yes_no_scorer(), [("yes", "yes"), ("no", "yes"), ("no", "no")], category=category)
    )
    assert found == {OVERALL: 75.0, "category=Attribute": 50.0, "category=Relation": 100.0}


def test_yes_bias_of_any_benchmark() -> None:
    rows = [("yes", "yes"), ("yes", "no"), ("yes", "no"), ("no", "no")]
    found = yes_no_figures("kind")(graded(yes_no_scorer(), rows, kind=["a", "a", "b", "b"]))
    assert (found[OVERALL], found["yes_ratio"], found["yes_ratio_right"]) == (50, 75, 25)
    assert (found["kind=a"], found["kind=a: yes_ratio"], found["kind=b: yes_ratio"]) == (50, 100, 50)
    assert yes_no_figures()([])[OVERALL] == 0


def test_bad_answers_and_rules_are_named() -> None:
    with pytest.raises(ValueError, match="'maybe' is neither yes nor no"):
        yes_no_scorer()("yes", Reference(("maybe",)))
    with pytest.raises(ValueError, match="give one of official, vlmevalkit, lmms-eval"):
        mme_scorer("other")
    assert yes_no_scorer()("perhaps", Reference(("no",))) == Verdict(
        0.0, None, "neither yes nor no", {"said": "other", "right": "no"}
    )
