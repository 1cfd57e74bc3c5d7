"""Edit distance and ANLS: how much of an answer is spelt as the nearest right one."""

from collections.abc import Callable, Hashable, Sequence

from tessera.scoring.settings import number, one_of
from tessera.scoring.verdict import Reference, Verdict

LENGTHS = ("raw", "collapsed")
RULES = ("official", "vlmevalkit", "lmms-eval", "lmms-eval-mpdocvqa")


def edit_distance(one: Sequence[Hashable], two: Sequence[Hashable]) -> int:
    """Levenshtein's: the fewest insertions, deletions and replacements that make one the other.

    Myers' bit vectors (1999, in Hyyrö's form): a column of the table is two whole numbers, so that long
    texts cost one step a sign.

    >>> edit_distance("kitten", "sitting")
    3
    """
    places: dict[Hashable, int] = {}
    for at, sign in enumerate(one):
        places[sign] = places.get(sign, 0) | 1 << at
    last = 1 << len(one) >> 1
    everywhere = (1 << len(one)) - 1
    up, down, distance = everywhere, 0, len(one)
    if not last:
        return len(two)
    for sign in two:
        equal = places.get(sign, 0)
        diagonal = (((equal & up) + up) ^ up) | equal | down
        right = down | ~(diagonal | up) & everywhere
        left = diagonal & up
        distance += bool(right & last) - bool(left & last)
        right, left = (right << 1 | 1) & everywhere, left << 1 & everywhere
        up, down = left | ~(diagonal | right) & everywhere, diagonal & right
    return distance


def anls_similarity(prediction: str, answer: str, lengths: str = "raw") -> float:
    """1 minus the edit distance over the longer length, 0..1. Case and runs of white space do not count.

    lengths: `raw` divides by the length of the texts as they came, upper-cased (all harnesses do);
    `collapsed` by the length of what is compared.

    >>> anls_similarity("hello world", "Hello   World")
    1.0
    """
    said, meant = _collapsed(prediction), _collapsed(answer)
    longest = max(map(len, (said, meant) if lengths == "collapsed" else (prediction.upper(), answer.upper())))
    return 1 - (edit_distance(said, meant) / longest if longest else 0.0)


def anls(
    threshold: float = 0.5, lengths: str = "raw", rules: str = "official"
) -> Callable[[str, Reference], Verdict]:
    """Similarity to the nearest answer; 0 below the threshold.

    rules: official and vlmevalkit are one formula; lmms-eval strips the prediction before it is measured;
    lmms-eval-mpdocvqa keeps inner white space, measures what it compares, and gives 0 for "" and "none".
    """
    least = number("threshold", threshold, 0, 1)
    one_of("lengths", lengths, LENGTHS)
    one_of("rules", rules, RULES)

    def score(prediction: str, reference: Reference, /) -> Verdict:
        said = prediction if rules in ("official", "vlmevalkit") else prediction.strip()
        if rules == "lmms-eval-mpdocvqa":
            found = [(_stripped_similarity(said, answer), answer) for answer in reference.answers]
        else:
            found = [(anls_similarity(said, answer, lengths), answer) for answer in reference.answers]
        if not found:
            return Verdict(0.0, said, "no answer is known")
        best, nearest = max(found, key=lambda pair: pair[0])
        why = f"similarity {best:.3f} to {nearest[:60]!r}"
        return Verdict(best if best >= least else 0.0, said, why)

    return score


def _collapsed(text: str) -> str:
    return " ".join(text.lower().split())


def _stripped_similarity(prediction: str, answer: str) -> float:
    said, meant = prediction.lower().strip(), answer.lower().strip()
    if said in ("", "none"):
        return 0.0
    return 1 - edit_distance(said, meant) / max(len(said), len(meant))
