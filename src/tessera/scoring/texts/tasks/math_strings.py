"""MATH as OpenCompass scores it: where the answer stands, and when two answers are the same text."""

import re

_BOX = "\\boxed{"
_ANNOUNCED = re.compile("final answer|answer is")
_REPLACED = (
    *(("an ", ""), ("a ", ""), (".$", "$"), ("\\$", ""), (r"\ ", ""), (" ", ""), ("mbox", "text")),
    *((",\\text{and}", ","), ("\\text{and}", ","), ("\\text{m}", "\\text{}"), ("\\le", "<")),
)
_UNITS = """square ways integers dollars mph inches ft hours km units \\ldots sue points feet minutes digits
cents degrees cm gm pounds meters meals edges students childrentickets multiples \\text{s} \\text{.}"""
_REMOVED = (
    *_UNITS.split(),
    *("\\text{\ns}", "\\text{}^2", "\\text{}^3", "\\text{\n}", "\\text{}", "\\mathrm{th}", "^\\circ"),
    *("^{\\circ}", "\\;", ",\\!", "{,}", '"', "\\dots", "\n", "\r", "\f"),
)
_UNWRAPPED = (
    *(
        (r"(\\text\{)\((.*?)\)(\})", r"\2"),
        (r"(\\text\{)(.*?)(\})", r"\2"),
        (r"(\\textbf\{)(.*?)(\})", r"\2"),
    ),
    *((r"(\\overline\{)(.*?)(\})", r"\2"), (r"(\\boxed\{)(.*)(\})", r"\2")),
)
_LAST_OF = (r"finalansweris(.*)", r"answer?is:?(.*)", r"oxed\{(.*?)\}", r"\$(.*?)\$")
_STRIPPED = (
    *(("\\!", ""), ("\\ ", ""), ("\\\\", "\\"), ("\\\\", "\\"), ("tfrac", "frac"), ("dfrac", "frac")),
    *(("\\left", ""), ("\\right", "")),
)
_SIGNS = (
    *(("^{\\circ}", ""), ("^\\circ", ""), ("\\$", ""), ("$", ""), ("\\text", ""), ("x\\in", ""), ("\\%", "")),
    *(("%", ""), (" .", " 0."), ("{.", "{0."), ("\\cdot", ""), ("infinity", "\\infty")),
)


class _Undecided(Exception):
    """The script breaks off here and compares less."""


def answer_of(text: str) -> str:
    """What the last box holds; else the first sentence that announces an answer, or the first, normalised."""
    if box := boxed(text, unwrap=True):
        return box
    sentences = text.split(".")
    found = next((one for one in sentences if _ANNOUNCED.search(one.lower())), sentences[0])
    return normalised(found)


def boxed(text: str, unwrap: bool = False) -> str | None:
    r"""What the last `\boxed{…}` holds; None if it does not close. unwrap: also a second pair of braces."""
    start = text.rfind("\\boxed")
    if not text.startswith(_BOX, max(start, 0)) or start < 0:
        return None
    depth = 0
    for at in range(start, len(text)):
        depth += (text[at] == "{") - (text[at] == "}")
        if text[at] == "}" and depth == 0:
            inside = text[start + len(_BOX) : at]
            whole = re.match(r"^\{(.*)\}$", inside) if unwrap else None
            return whole[1] if whole else inside
    return None


def same_answer(one: str, two: str) -> bool:
    """Whether both are the same text after either way of normalising, or after both."""
    try:
        first, second = _stripped(one), _stripped(two)
        if first == second or normalised(first) == normalised(second):
            return True
    except _Undecided:
        pass
    return normalised(one) == normalised(two) or one == two


def normalised(text: str) -> str:
    """No articles, units, wrappers and spaces; fractions and roots with braces; no commas of thousands."""
    for before, after in _REPLACED:
        text = text.replace(before, after)
    for word in _REMOVED:
        text = text.replace(word, "")
    for pattern, kept in _UNWRAPPED:
        text = re.sub(pattern, kept, text)
    for pattern in _LAST_OF:
        if found := re.findall(pattern, text):
            text = found[-1]
    text = text.strip()
    if "rac" in text and "\\frac" not in text:
        text = text.replace("rac", "\\frac")
    text = re.sub(r"(frac)([^{])(.)", r"frac{\2}{\3}", text)
    text = re.sub(r"(sqrt)([^{])", r"sqrt{\2}", text).replace("$", "")
    return text.replace(",", "") if text.replace(",", "").isdigit() else text


def _stripped(text: str) -> str:
    """The script's second version: signs, units, `x =`, `.0`; fractions with braces."""
    text = text.strip().replace("\n", "").rstrip(".")
    for before, after in _STRIPPED:
        text = text.replace(before, after)
    shorter = re.sub(r"\\text{.*?}$", "", text).strip()
    text = shorter or text
    for before, after in _SIGNS:
        text = text.replace(before, after)
    if "\\infty" not in text:
        text = text.replace("inf", "\\infty")
    text = text.replace("+\\inity", "\\infty").replace("and", "").replace("\\mathbf", "")
    text = re.sub(r"\\mbox{.*?}", "", text)
    if "j" in text and "i" not in text:
        text = text.replace("j", "i")
    if ".0" in text:
        text = re.sub(r"(?<=\d)\.0+$", "", re.sub(r"(?<=\d)\.0+(?=[^\d])", "", text))
    if not text:
        return text
    text = "0" + text if text[0] == "." else text
    name, equals, value = text.partition("=")
    if equals and "=" not in value and len(name) <= 2:
        text = value
    text = re.sub(r"\\sqrt(\w+)", r"\\sqrt{\1}", text).replace(" ", "")
    return _slash_as_fraction(_braced_fractions(text))


def _braced_fractions(text: str) -> str:
    r"""`\frac12` and `\frac1{23}` with braces; as it is where less than two signs follow."""
    first, *rest = text.split("\\frac")
    found = first
    for part in rest:
        if part.startswith("{"):
            found += "\\frac" + part
        elif len(part) < 2:
            return text
        else:
            second = part[1:] if part[1] == "{" else f"{{{part[1]}}}{part[2:]}"
            found += f"\\frac{{{part[0]}}}{second}"
    return found


def _slash_as_fraction(text: str) -> str:
    parts = text.split("/")
    if len(parts) != 2:
        return text
    try:
        above, below = map(int, parts)
    except ValueError:
        raise _Undecided from None
    return f"\\frac{{{above}}}{{{below}}}" if text == f"{above}/{below}" else text
