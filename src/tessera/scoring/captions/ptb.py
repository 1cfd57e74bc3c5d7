"""Words as the Stanford PTBTokenizer divides them, in Python.

Written from what version 3.4.1 (the one that pycocoevalcap carries) answers, called with `-preserveLines
-lowerCase`. At every place the rule that matches most text wins, the first of several. A rule may look at
text behind its word: that counts for the length, and is read again.
"""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from tessera.scoring.captions.ptb_tables import (
    ABBREVIATIONS,
    BEFORE_DIGITS,
    ENDINGS,
    KEPT,
    MARKS,
    NAMES,
    NEVER_CAPITALS,
    NUMERALS,
    SENTENCES,
    TITLES,
)
from tessera.scoring.ranges import ranges

DROPPED = frozenset(["''", "'", "``", "`", ".", "?", "!", ",", ":", "-", "--", "...", ";"])
"""Punctuation that pycocoevalcap takes away; brackets stay, since its list has them in capitals."""
_WRITTEN = {"(": "-lrb-", ")": "-rrb-", "[": "-lsb-", "]": "-rsb-", "{": "-lcb-", "}": "-rcb-"} | {
    **{"€": "$", "\x80": "$", "¤": "$", "₠": "$", "£": "#", "¢": "cents", "½": "1/2", "¼": "1/4"},
    **{"¾": "3/4", "⅓": "1/3", "⅔": "2/3", "&lt;": "<", "&gt;": ">"},
}
"""Words that are written otherwise."""

_L = rf"[^\W\d_{ranges(NUMERALS)}]"
_A = rf"(?:{_L}|[{ranges(MARKS)}\u00ad]|&[aeiouAEIOU](?:acute|grave|uml);)"
_APO = r"(?:['’\x92]|&apos;)"
_TICK = r"(?:['’\x92`‘‛\x91]|&apos;)"
_NUM = r"(?:\d*(?:[.,:\u00ad\u066b\u066c]\d+)+|\d+)"
_ACRO = r"[A-Za-z](?:\.[A-Za-z])*"
_WORD = rf"{_A}(?:{_A}|\d)*(?:[.!?]{_A}(?:{_A}|\d)*)*"
_AUX = rf"{_APO}(?:[msdMSD]|(?i:re|ve|ll))"
_PART = rf"(?:[dDoOlL]{_TICK}(?:{_L}|\d){{2,}}|(?:{_L}|\d)+)"
_JOINED = rf"{_PART}(?:[-_\u058a\u2010\u2011]{_PART})*"
_TAGGED = r"[A-Za-z][A-Za-z0-9_:.-]*"
_VALUE = r"(?: *= *(?:'[^'\n]*'|\"[^\"\n]*\"))?"
_B = r" \t\n\f\r\u00a0\""
_END = rf"[^{_B}<>|.!?(){{}},-]"
_PATH = rf"(?:/[^{_B}<>|()]+{_END})?"
_SLASHED = r"[A-Za-z0-9]+(?:-[A-Za-z]+){0,2}"
_HOST = rf"[^{_B}<>|().{{}}]+"
_MAIL = rf"[A-Za-z0-9][^{_B}<>|(){{}}]*@(?:{_HOST}\.)*{_HOST}"
_FACE = r"[<>]?[:;=][-o*']?[()DPdpO\\{@|\[\]]"
_TAG = rf"<(?:[!?][A-Za-z-][^>\n]*|/{_TAGGED}|{_TAGGED}(?: +{_TAGGED}{_VALUE})* */?) *>"
_RULES = [
    _TAG,
    r"(?i:(?P<can>can)not|(?P<gon>gon)na|(?P<got>got)ta|(?P<lem>lem)me|(?P<gim>gim)me|(?P<wan>wan)na)",
    rf"(?i:(?P<tis>{_APO}t)(?:is|was))",
    rf"(?P<before_aux>{_WORD}){_AUX}",
    rf"(?P<before_not>[A-Za-z]*[A-MO-Za-mo-z])[nN]{_APO}[tT]",
    rf"(?P<aux>{_AUX})[^A-Za-z]|(?P<nt>[nN]{_APO}[tT])",
    _WORD,
    rf"(?i:https?)://[^{_B}<>|()]+{_END}",
    rf"(?:www\.(?:[^{_B}<>|.!?(){{}},]+\.)+[a-zA-Z]{{2,4}}"
    rf"|(?:[^{_B}`'|!(){{}},-_$]+\.)+(?:com|net|org|edu)){_PATH}",
    rf"<?{_MAIL}>?",
    rf"@[A-Za-z_][A-Za-z_0-9]*|#{_L}+",
    rf"(?i:{_APO}n{_APO}?|[ldjy]{_APO}|dunkin{_APO}|somethin{_APO}|ol{_APO}|{_APO}em|{_APO}till?|{_APO}cause)",
    rf"(?i:{_APO}[2-9]0s|c{_APO}mon|e{_APO}er|s{_APO}mores|ev{_APO}ry|o{_APO}o|li{_APO}l|nat{_APO}l)",
    rf"(?i:nor{_APO}easter)",
    r"(?P<open>['`‘‛\x91])[A-Za-z][^\s]",
    rf"(?P<late_aux>{_AUX})",
    rf"(?P<year>{_APO}\d\d)\s",
    rf"[A-HJ-XZn]{_TICK}{_L}{{2,}}|{_L}+[aeiouyAEIOUY]{_TICK}[aeiouA-Z]{_L}*",
    _JOINED,
    r"[A-Za-z0-9][A-Za-z0-9.,\u00ad]*(?:-(?:[A-Za-z](?:\.[A-Za-z])+\.|[A-Za-z0-9\u00ad]+))+",
    r"[A-Z]+(?:(?:[+&]|(?i:&amp;))[A-Z]+)+",
    rf"{_SLASHED}(?:\\?/{_SLASHED}){{1,2}}",
    rf"[-+]?{_NUM}",
    r"(?:\d{1,4}[- \u00a0])?\d{1,4}(?:\\?/|\u2044)\d{1,4}",
    r"(?:\(\d{2,3}\)[ \u00a0]?|(?:\+\+?)?(?:\d{2,4}[- \u00a0])?\d{2,4}[- \u00a0])\d{3,4}[- \u00a0]?\d{3,5}",
    rf"(?:{_L}|\d)+(?:\.(?:{_L}|\d)+)*\.(?i:{ENDINGS})(?=[\s.?!,])",
    rf"{_ACRO}\.",
    r"(?P<degree>(?i:ph\.d\.))(?s:..)|(?i:ph\.d\.)",
    rf"(?P<stopped>(?:{_JOINED}|{_WORD})\.)[,;:\u3001]",
    rf"(?P<initial>[A-Za-z])\.\s+(?:</?{_TAGGED}>|(?=[A-Z])(?i:{SENTENCES})\s)",
    rf"(?P<numbered>(?i:{BEFORE_DIGITS})\.)\s?\d",
    rf"(?P<face>{_FACE})[^A-Za-z0-9]|[-^=~<>']_[-^=~<>']|\([-^=~<>']_[-^=~<>']\)",
    r"[A-Z]*\$|#+|_+|[?!]+|\\\*|@+|(?i:c\+\+|[cf]#)|&(?:HT|TL|UR|LR|QC|QL|QR|odq|cdq|#\d+);",
    r"&(?i:amp|lt|gt);",
    r"-{5,}|<<|>>|(?P<dash>&(?i:MD|mdash|ndash);|[\x96\x97–—―]|-{2,4})",
    r"(?P<dots>\.{3,5}|…|\.(?:[ \u00a0]\.){2,})",
    r"(?P<nothing>''|``|’’|‘‘|[\"“”«»\x93\x94‘’‛‹›\x91\x92'`]|&quot;|&apos;|&nbsp;)",
]
"""A group with a name is the word; what follows it is only looked at."""
_PATTERNS = [*map(re.compile, _RULES)]
_ABBREVIATION = re.compile(r"([A-Za-z]+)\.")
_PLAIN = re.compile(r"[a-z]+(?=\s)")
_SPLIT = frozenset(("cannot", "gonna", "gotta", "lemme", "gimme", "wanna"))
_CURLY = re.compile("’|\x92|&apos;")
_LOOK = 40
"""Signs of the next text that can matter."""
_ALONE = re.compile(rf"[!-~\u2044{ranges(KEPT)}{ranges(MARKS)}]")


def ptb_lines(texts: Sequence[str]) -> list[str]:
    """The words of every text with single spaces between them, lower-cased, without punctuation.

    As in pycocoevalcap the texts are lines of one file, so that the first signs of a text can tell where the
    one before it ends: an `a.` before a capital is a word with a full stop.

    >>> ptb_lines(["A man's dog can't eat; it sleeps."])
    ["a man 's dog ca n't eat it sleeps"]
    """
    lines = [text.replace("\n", " ") for text in texts]
    behind = [f"\n{line[:_LOOK]}" for line in lines[1:]] + [""]
    return [_words(line, following) for line, following in zip(lines, behind, strict=True)]


@lru_cache(65536)
def _words(line: str, behind: str) -> str:
    return " ".join(word for word in tokens(line, behind) if word not in DROPPED)


def tokens(line: str, behind: str = "\n") -> Iterator[str]:
    """All words and marks of a line, lower-cased, before what comes behind it.

    A space within a word is U+00A0.
    """
    text, at = line + behind, 0
    while at < len(line):
        if (plain := _PLAIN.match(text, at)) and plain[0] not in _SPLIT:
            yield plain[0]
            at = plain.end()
            continue
        word, at = _next(text, at)
        if word:
            yield word


def _next(text: str, at: int) -> tuple[str, int]:
    """The word at a place, "" for none, and where the next one begins."""
    best, longest = None, at
    for pattern in _PATTERNS:
        found = pattern.match(text, at)
        if found and found.end() > longest:
            best, longest = found, found.end()
    short = _ABBREVIATION.match(text, at)
    if short and _reach(short, text) > longest:
        return short[0].lower(), short.end()
    if best is None:
        return (_written(text[at]) if _ALONE.match(text[at]) or text[at] in _WRITTEN else ""), at + 1
    name = best.lastgroup
    if name in _INSTEAD:
        return _INSTEAD[name], best.end(name)
    word = best[name or 0]
    return _written(_CURLY.sub("'", word) if name in _STRAIGHT else word), best.end(name or 0)


_STRAIGHT = ("aux", "late_aux", "nt", "tis")
"""Rules whose apostrophe is written as `'` in any case."""
_INSTEAD = {"dash": "--", "dots": "...", "nothing": "''", "open": "`"}


def _reach(short: re.Match[str], text: str) -> int:
    """Where an abbreviation ends, for the comparison; 0 for other words before a full stop.

    All but titles and a few others count with two signs behind them, where there are two.
    """
    word, end = short[1], short.end()
    name = word.lower()
    if name in NAMES:
        known = word[0].isupper()
    else:
        known = name in ABBREVIATIONS and not (name in NEVER_CAPITALS and word.isupper())
    if not known:
        return 0
    return end if name in TITLES or end + 2 > len(text) else end + 2


def _written(word: str) -> str:
    word = word.replace("\u00ad", "").lower()
    if word in _WRITTEN:
        return _WRITTEN[word]
    if "@" not in word and not word.startswith(("<", "http", "www")):
        word = word.replace("(", "-lrb-").replace(")", "-rrb-").replace("&amp;", "&")
    return word.replace(" ", "\u00a0")
