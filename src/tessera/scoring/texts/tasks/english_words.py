"""English words as spaCy's rule tokenizer divides them, which VCR's harnesses use for words in pictures.

Whitespace divides first; then marks are taken from both ends of a piece, unless it is a known word; then
marks within it divide. Source: spaCy 3.8, lang/punctuation.py, lang/en, tokenizer.explain.
"""

import re
from collections.abc import Iterator
from functools import cache

from tessera.scoring.ranges import ranges

_PUNCTUATION = r"…|,|:|;|!|\?|¿|؟|¡|\(|\)|\[|\]|\{|\}|<|>|_|#|\*|&|。|？|！|，|、|；|：|～|·|।|،|۔|؛|٪"
_QUOTES = "'\"”“`‘´’‚,„»«「」『』（）〔〕【】《》〈〉〈〉⟦⟧"
_MONEY = r"\$|£|€|¥|฿|US\$|C\$|A\$|₽|﷼|₴|[₠-₿]"
_UNITS = """km km² km³ m m² m³ dm dm² dm³ cm cm² cm³ mm mm² mm³ ha µm nm yd in ft kg g mg µg t lb oz m/s km/h
kmh mph hPa Pa mbar mb MB kb KB gb GB tb TB T G M K % км км² км³ м м² м³ дм дм² дм³ см см² см³ мм мм² мм³ нм
кг г мг м/с км/ч кПа Па мбар Кб КБ кб Мб МБ мб Гб ГБ гб Тб ТБ тбكم كم² كم³ م م² م³ سم سم² سم³ مم مم² مم³
كم غرام جرام جم كغ ملغ كوب اكواب"""
_ICONS = """A6 A9 AE B0 482 2100-2101 2103-2106 2108-2109 2114 2116-2117 211E-2123 2125 2127 2129 212E
213A-213B 214A 214C-214D 214F 218A-218B 2195-2199 219C-219F 21A1-21A2 21A4-21A5 21A7-21AD
21AF-21CD 21D0-21D1 21D3 21D5-21F3 2300-2307 230C-231F 2322-2328 232B-237B 237D-239A 23B4-23DB
23E2-2426 2440-244A 249C-24E9 2500-25B6 25B8-25C0 25C2-25F7 2600-266E 2670-2767 2794-27BF
2800-28FF 2B00-2B2F 2B45-2B46 2B4D-2B73 2B76-2B95 2B98-2BC8 2BCA-2BFE 2E80-2E99 2E9B-2EF3
2F00-2FD5 2FF0-2FFB 3004 3012-3013 3020 3036-3037 303E-303F 3190-3191 3196-319F 31C0-31E3
3200-321E 322A-3247 3250 3260-327F 328A-32B0 32C0-32FE 3300-33FF 4DC0-4DFF A490-A4C6 FFE4 FFE8
FFED-FFEE FFFC-FFFD 1F000-1F02B 1F030-1F093 1F0A0-1F0AE 1F0B1-1F0BF 1F0C1-1F0CF 1F0D1-1F0F5
1F110-1F16B 1F170-1F1AC 1F1E6-1F202 1F210-1F23B 1F240-1F248 1F250-1F251 1F260-1F265 1F300-1F3FA
1F400-1F6D4 1F6E0-1F6EC 1F6F0-1F6F9 1F700-1F773 1F780-1F7D8 1F800-1F80B 1F810-1F847 1F850-1F859
1F860-1F887 1F890-1F8AD 1F900-1F90B 1F910-1F93E 1F940-1F970 1F973-1F976 1F97A 1F97C-1F9A2
1F9B0-1F9B9 1F9C0-1F9C2 1F9D0-1F9FF 1FA60-1FA6D"""
_ENDINGS = {
    "i": "'m 'm|a 'll 'll|'ve 'd 'd|'ve 've",
    "you we they": "'ll 'll|'ve 'd 'd|'ve 've 're",
    "he she it": "'ll 'll|'ve 'd 'd|'ve 's",
    "who what when where why how there": "'s 'll 'll|'ve 're 've 'd 'd|'ve",
    "that this": "'s 'll 'll|'ve 'd 'd|'ve",
    "these those": "'ll 'll|'ve 're 've 'd 'd|'ve",
    "ca could do does did had may might must need ought sha should wo would": "n't n't|'ve",
    "could might must should would not": "'ve",
    "ai are is was were have has dare": "n't",
}
"""Words → what may hang on them, each written with its apostrophe, or without."""
_SAME = "ill its hell shell shed were well whore".split()  # noqa: SIM905
"""Would be contractions without their apostrophe."""
_DIVIDED = """y'|all y|all how|'d|'y How|'d|'y can|not Can|not gon|na Gon|na got|ta Got|ta let|'s Let|'s
c'm|on C'm|on"""
_WHOLE = r"""'S 's ‘S ‘s \") \n \t '' <space> C++ — and/or w/o 'd a.m. Adm. Bros. co. Co. Corp. D.C. Dr. e.g.
E.g. E.G. Gen. Gov. i.e. I.e. I.E. Inc. Jr. Ltd. Md. Messrs. Mo. Mont. Mr. Mrs. Ms. p.m. Ph.D.
Prof. Rep. Rev. Sen. St. vs. v.s. Mt. Ak. Ala. Apr. Ariz. Ark. Aug. Calif. Colo. Conn. Dec. Del.
Feb. Fla. Ga. Ia. Id. Ill. Ind. Jan. Jul. Jun. Kan. Kans. Ky. La. Mar. Mass. Mich. Minn. Miss.
N.C. N.D. N.H. N.J. N.M. N.Y. Neb. Nebr. Nev. Nov. Oct. Okla. Ore. Pa. S.C. Sep. Sept. Tenn. Va.
Wash. Wis. ma'am Ma'am o'clock O'clock em ll nuff 'em 'll 'nuff 'cause 'Cause 'cos 'Cos 'coz 'Coz
'cuz 'Cuz 'bout 're ä. ö. ü."""
_FACES = """:) :-) :)) :-)) :))) :-))) (: (-: =) (= :] :-] [: [-: [= =] :o) (o: :} :-} 8) 8-) (-8 ;) ;-) (;
(-; :( :-( :(( :-(( :((( :-((( ): )-: =( >:( :') :'-) :'( :'-( :/ :-/ =/ =| :| :-| ]= =[ :1 :P :-P :p :-p :O
:-O :o :-o :0 :-0 :() >:o :* :-* :3 :-3 =3 :> :-> :X :-X :x :-x :D :-D ;D ;-D =D xD XD xDD XDD 8D 8-D ^_^ ^__^
^___^ >.< >.> <.< ._. ;_; -_- -__- v.v V.V v_v V_V o_o o_O O_o O_O 0_o o_0 0_0 o.O O.o O.O o.o 0.0 o.0 0.o @_@
<3 <33 <333 </3 (^_^) (-_-) (._.) (>_<) (*_*) (¬_¬) ಠ_ಠ ಠ︵ಠ (ಠ_ಠ) ¯\\(ツ)/¯ (╯°□°）╯︵┻━┻ ><(((*>"""
_LONGEST = 12
"""Most parts of a known word."""
_FARTHEST = 32
"""Signs that a mark at the end may reach back, and what must stand before it."""
_URL = re.compile(
    r"(?:[\w+.-]{2,}://)?(?:\S+(?::\S*)?@)?"
    r"(?:(?!(?:10|127)(?:\.\d{1,3}){3})(?!(?:169\.254|192\.168)(?:\.\d{1,3}){2})(?!172\.(?:1[6-9]|2\d|3[01])(?:\.\d{1,3}){2})(?:[1-9]\d?|1\d\d|2[01]\d|22[0-3])"
    r"(?:\.(?:1?\d{1,2}|2[0-4]\d|25[0-5])){2}\.(?:[1-9]\d?|1\d\d|2[0-4]\d|25[0-4])"
    r"|(?:(?:[A-Za-z0-9\u00a1-\uffff][A-Za-z0-9\u00a1-\uffff_-]{0,62})?[A-Za-z0-9\u00a1-\uffff]\.)+"
    r"(?P<top>[^\W\d_]{2,63}))(?::\d{2,5})?(?:[/?#]\S*)?"
)
_WITHIN = (
    r"\.\.+|…|[{icons}]|(?<=[0-9])[-+*^](?=[0-9-])"
    r"|(?P<stop>(?:(?<={letter})|(?<=[{quotes}]))\.(?:(?={letter})|(?=[{quotes}])))|(?<={letter}),(?={letter})"
    r"|(?:(?<={letter})|(?<=[0-9]))(?:-|–|—|--|---|——|~|[:<>=/])(?={letter})"
)
_BEFORE_STOP = _QUOTES + "%²-+|\\()?:" + _PUNCTUATION.replace("\\", "")


def english_words(text: str) -> list[str]:
    """Words, marks and runs of white space beyond single spaces.

    >>> english_words("It's a well-known U.S. law.")
    ['It', "'s", 'a', 'well', '-', 'known', 'U.S.', 'law', '.']
    """
    found: list[str] = []
    for piece in re.findall(r"\s+|\S+", text):
        if piece.isspace():
            rest = piece.removeprefix(" ") if found else piece
            found += [rest] if rest else []
        else:
            found += _joined([*_words(piece)])
    return found


def _joined(words: list[str]) -> list[str]:
    """Known words that were divided after all come together again, the longest first."""
    marked = _marked()
    spans = [
        (start - end, start, end)
        for start in range(len(words))
        for end in range(start + 2, min(start + _LONGEST, len(words)) + 1)
        if "".join(words[start:end]) in marked
    ]
    taken: dict[int, int] = {}
    used = bytearray(len(words))
    for _, start, end in sorted(spans):
        if not any(used[start:end]):
            taken[start] = end
            used[start:end] = b"\1" * (end - start)
    for start, end in sorted(taken.items(), reverse=True):
        words[start:end] = _known()["".join(words[start:end])]
    return words


def _words(piece: str) -> Iterator[str]:
    """A piece without white space: marks at its ends go one after the other, known words stay whole."""
    known, behind = _known(), []
    while piece and piece not in known:
        if front := _front(piece):
            yield piece[:front]
            piece = piece[front:]
            if not piece or piece in known:
                break
        back = _back(piece)
        if back:
            behind.append(piece[-back:])
            piece = piece[:-back]
        elif not front:
            break
    yield from known.get(piece) or _inside(piece)
    yield from reversed(behind)


def _inside(piece: str) -> Iterator[str]:
    url = _URL.fullmatch(piece)
    if url and _lower(url["top"] or ""):
        yield piece
        return
    start = 0
    for mark in _patterns()[1].finditer(piece):
        if mark.start() and (mark["stop"] is None or _ends_a_sentence(piece, mark.start())):
            yield from filter(None, (piece[start : mark.start()], mark[0]))
            start = mark.end()
    if piece[start:]:
        yield piece[start:]


def _ends_a_sentence(piece: str, at: int) -> bool:
    """Whether a full stop stands behind a small letter or a quote, and before a capital or a quote."""
    return (piece[at - 1] in _QUOTES or _lower(piece[at - 1])) and (
        piece[at + 1] in _QUOTES or not piece[at + 1].islower()
    )


def _lower(text: str) -> bool:
    """No capital in it; letters without case count on both sides."""
    return not any(sign.isupper() or sign.istitle() for sign in text)


def _front(piece: str) -> int:
    """How many signs at the beginning are a mark."""
    found = _patterns()[0].match(piece)
    return found.end() if found else 0


def _back(piece: str) -> int:
    """How many signs at the end are a mark, a unit or money behind a number, or a full stop."""
    if piece.endswith(".."):
        return len(piece) - len(piece.rstrip("."))
    tail = piece[-_FARTHEST:]  # so that a long piece is not read again for each of its marks
    found = _patterns()[2].search(tail)
    if found:
        return len(tail) - found.start()
    if not piece.endswith(".") or len(piece) < 2:
        return 0
    last, two = piece[-2], piece[-3:-1]
    small = last.isalpha() and _lower(last)
    capitals = len(two) == 2 and two.isalpha() and not any(sign.islower() for sign in two)
    return int(last in "0123456789" or last in _BEFORE_STOP or small or capitals)


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str], re.Pattern[str]]:
    """Marks in front, within and behind."""
    icons, quotes = ranges(_ICONS), re.escape(_QUOTES)
    front = rf"§|%|=|—|–|\+(?![0-9])|{_PUNCTUATION}|\.\.+|[{quotes}]|{_MONEY}|[{icons}]"
    units = "|".join(map(re.escape, _UNITS.split()))
    back = (
        rf"(?:(?:……|{_PUNCTUATION}|[{quotes}{icons}—–]|['’][sS]|(?<=[0-9])(?:\+|{_MONEY}|{units})"
        r"|(?<=°[FfCcKk])\.))\Z"
    )
    within = _WITHIN.format(icons=icons, quotes=quotes, letter=r"[^\W\d_]")
    return re.compile(front), re.compile(within), re.compile(back)


@cache
def _known() -> dict[str, tuple[str, ...]]:
    """Words that are never divided by their marks → their parts."""
    found: dict[str, tuple[str, ...]] = {
        word: (word,) for word in (*_WHOLE.split(), *_FACES.split(), " ", "\t", "\n", "\u00a0", "'", "’’")
    }
    found |= {f"{letter}.": (f"{letter}.",) for letter in "abcdefghijklmnopqrstuvwxyz"}
    found |= {entry.replace("|", ""): tuple(entry.split("|")) for entry in _DIVIDED.split()}
    for stem in "doin goin havin lovin nothin nuthin ol somethin".split():  # noqa: SIM905
        for word in (stem, stem.title()):
            found |= {word: (word,), f"{word}'": (f"{word}'",)}
    for number in range(1, 13):
        for half in ("am", "pm", "a.m.", "p.m."):
            found[f"{number}{half}"] = (str(number), half)
    found |= {f"°{unit}.": ("°", unit, ".") for unit in "cfkCFK"}
    for words, endings in _ENDINGS.items():
        for word in words.split():
            found |= _contractions(word, endings) | _contractions(word.title(), endings)
    return found | {
        word.replace("'", "’"): tuple(part.replace("'", "’") for part in parts)
        for word, parts in found.items()
    }


def _contractions(word: str, endings: str) -> dict[str, tuple[str, ...]]:
    found = {}
    for ending in endings.split():
        parts = (word, *ending.split("|"))
        found["".join(parts)] = parts
        bare = "".join(parts).replace("'", "")
        if bare.lower() not in _SAME:
            found[bare] = tuple(part.replace("'", "") for part in parts)
    return found


@cache
def _marked() -> frozenset[str]:
    """Those known words that hold marks."""
    front, within, _ = _patterns()
    return frozenset(word for word in _known() if front.match(word) or _back(word) or within.search(word))
