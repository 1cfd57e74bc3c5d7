"""Questions about several bars, digits or kinds of things, answered in steps."""

from collections import Counter
from collections.abc import Iterable, Sequence

from tessera.playground.drawings.marks import COLOR_NAMES, SHAPES
from tessera.playground.drawings.things import Plan
from tessera.playground.questions.asker import YES_NO, Asker
from tessera.playground.questions.things import plural

Reading = tuple[str, int]
"""What is seen and its value: ("red", 4)."""
BREAK = "\n\n"
"""Between two steps."""
ANNOUNCED = "Final answer: "


def ask_about_bars(asker: Asker, bars: Sequence[Reading]) -> None:
    """Sums of three, a sum less a bar, the spread, a sum and a limit, bars over a limit."""
    one, two, three = asker.rng.sample(bars, 3)
    _add_chain(asker, "total", [one, two, three], "++", f"{one[0]}, {two[0]} and {three[0]}")
    if one[1] + two[1] >= three[1]:
        _add_chain(asker, "sum_less", [one, two, three], "+-", f"{one[0]} and {two[0]}", three[0])
    _add_spread(asker, "spread", bars, ("highest", "lowest"))
    _ask_sum_over(asker, one, two)
    _ask_over(asker, bars)


def ask_about_digits(asker: Asker, digits: tuple[int, int, int]) -> None:
    """The sum of three digits, two less the third, and the spread from the largest to the smallest."""
    named = list(zip(("first", "second", "last"), digits, strict=True))
    _add_chain(asker, "digit_total", named, "++")
    if digits[0] + digits[1] >= digits[2]:
        _add_chain(asker, "digits_less", named, "+-")
    _add_spread(asker, "digit_spread", named, ("largest", "smallest"))


def ask_about_counts(asker: Asker, plan: Plan) -> None:
    """Three shapes or colours counted together, two less a third; the answer names all things first."""
    rng = asker.rng
    by_shape = rng.random() < 0.5
    values = Counter(t.shape if by_shape else t.color for t in plan.things)
    every = SHAPES if by_shape else COLOR_NAMES
    order = sorted(every, key=lambda value: (value not in values, rng.random()))
    chosen = rng.sample(order[:3], 3)
    seen = [_sentence(f"{t.place} {t.name}" for t in plan.things)]
    named = [(plural(v) if by_shape else v, values[v]) for v in chosen]
    (one, m), (two, n), (three, less) = named
    noun = "" if by_shape else " things"
    _add_chain(asker, "count_total", named, "++", f"{one}, {two} and {three}{noun}", seen=seen)
    if m + n >= less:
        _add_chain(asker, "count_less", named, "+-", f"{one} and {two}{noun}", f"{three}{noun}", seen=seen)


def _add_spread(asker: Asker, kind: str, readings: Sequence[Reading], names: tuple[str, str]) -> None:
    """The largest value less the smallest."""
    values = [value for _, value in readings]
    ends = list(zip(names, (max(values), min(values)), strict=True))
    _add_chain(asker, kind, ends, "-", seen=[_seen(readings)])


def _ask_sum_over(asker: Asker, one: Reading, two: Reading) -> None:
    """Whether two bars together are more than a number near their sum; the answer is chosen first."""
    total, over, distance = one[1] + two[1], asker.rng.random() < 0.5, asker.rng.randint(1, 3)
    limit = total - distance if over else total + distance - 1
    compared = f"{total} is {'more' if over else 'not more'} than {limit}."
    steps = [_seen([one, two]), _sum(one[1], two[1]), compared]
    _add(asker, "bars_sum_over", steps, YES_NO[over], f"{one[0]} and {two[0]}", limit)


def _ask_over(asker: Asker, bars: Sequence[Reading]) -> None:
    """How many bars are higher than a limit between them."""
    values = [value for _, value in bars]
    limit = asker.rng.randint(min(values), max(max(values) - 1, min(values)))
    over = [f"{name} {value} over {limit}" for name, value in bars if value > limit]
    _add(asker, "bars_over", [_seen(bars), _sentence(over or [f"none over {limit}"])], str(len(over)), limit)


def _add_chain(
    asker: Asker,
    kind: str,
    readings: Sequence[Reading],
    signs: str,
    a: object = "",
    b: object = "",
    seen: Sequence[str] = (),
) -> None:
    """A question whose values are added up or taken away one after another, behind the steps `seen`."""
    steps, value = [*seen, _seen(readings)], readings[0][1]
    for sign, (_, term) in zip(signs, readings[1:], strict=True):
        steps.append(_sum(value, term, sign))
        value = value + term if sign == "+" else value - term
    _add(asker, kind, steps, str(value), a, b)


def _add(asker: Asker, kind: str, steps: Iterable[str], final: str, a: object = "", b: object = "") -> None:
    asker.add("reason", kind, BREAK.join((*steps, ANNOUNCED + final)), a, b, final=final)


def _seen(readings: Iterable[Reading]) -> str:
    return _sentence(f"{name} {value}" for name, value in readings)


def _sum(one: int, two: int, sign: str = "+") -> str:
    return f"{one} {sign} {two} = {one + two if sign == '+' else one - two}."


def _sentence(claims: Iterable[str]) -> str:
    return ", ".join(claims) + "."
