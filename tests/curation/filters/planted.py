"""A corpus of some 2,000 records with planted faults of every kind, and clean ones that look like faults.

Clean records are playground conversations, prose, code, tables, formulas, verses with a refrain, boxes,
lists, and other languages. Faults are planted at random strengths; `write_corpus` tells where.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

from tessera.chat.message import Role
from tessera.records.export import write_dataset
from tessera.records.manifest import PlaygroundSource
from tessera.records.readers.playground import PlaygroundReader
from tessera.records.writing import internvl_record, json_line, marked_turns, write_meta

Turns = list[tuple[Role, str]]
Planted = dict[tuple[str, int], str]
"""(source, record) -> the rule that should find it"""

EACH = 55
"""Records per planted fault."""


def _split(listed: str) -> list[str]:
    return listed.split()


_NOUNS = _split(
    "river engine garden library harbour teacher bridge winter orchard signal village market lantern "
    "mountain journal pattern kitchen theory window island morning committee forest letter machine shadow "
    "festival doctor railway cloud question museum student captain valley paper season answer tower music "
)
_VERBS = _split(
    "carries explains follows measures protects surprises describes repairs changes reaches improves "
    "remembers supports crosses collects divides announces replaces discovers shapes "
)
_ADJECTIVES = _split(
    "quiet early narrow bright careful distant ordinary wooden patient sudden northern gentle complex "
    "empty famous practical strange useful warm recent "
)
_LINKS = ("because", "although", "while", "so that", "before", "until", "and later", "even if")
_OPENERS = (
    "In general,",
    "For example,",
    "At first,",
    "However,",
    "As a result,",
    "In practice,",
    "Today,",
    "",
)


def _phrase(rng: Random) -> str:
    return f"the {rng.choice(_ADJECTIVES)} {rng.choice(_NOUNS)}"


def sentence(rng: Random) -> str:
    """One English sentence of random words."""
    said = f"{_phrase(rng)} {rng.choice(_VERBS)} {_phrase(rng)}"
    if rng.random() < 0.7:
        said += f" {rng.choice(_LINKS)} {_phrase(rng)} {rng.choice(_VERBS)} {_phrase(rng)}"
    opener = rng.choice(_OPENERS)
    said = f"{opener} {said}" if opener else said
    return said[0].upper() + said[1:] + "."


def prose(rng: Random, sentences: int) -> str:
    """Paragraphs of random sentences."""
    said = [sentence(rng) for _ in range(sentences)]
    return "\n\n".join(" ".join(said[at : at + 6]) for at in range(0, sentences, 6))


def ask(rng: Random) -> str:
    """A question in English."""
    wording = (
        "Tell me about {}.",
        "What do you know about {}?",
        "Explain why {} matters.",
        "Describe {} to me.",
    )
    return rng.choice(wording).format(_phrase(rng))


# Clean records that a careless rule would flag.


def _code(rng: Random) -> str:
    names = rng.sample(_NOUNS, 6)
    blocks = [
        f"def {name}(value):\n    if value is None:\n        return {n}\n    return value + {n}\n"
        for n, name in enumerate(names)
    ]
    return "Here is the module:\n\n```python\n" + "\n\n".join(blocks) + "```\n\n" + sentence(rng)


def _table(rng: Random) -> str:
    rows = [
        f"| {rng.choice(_NOUNS)} | {rng.randint(0, 9999)} | {rng.random():.3f} |"
        for _ in range(rng.randint(5, 15))
    ]
    return "| name | count | share |\n|------|-------|-------|\n" + "\n".join(rows)


def _formulas(rng: Random) -> str:
    a, b = rng.randint(2, 99), rng.randint(2, 99)
    return (
        f"We solve ${a}x + {b} = 0$. Subtracting gives $$x = -\\frac{{{b}}}{{{a}}}.$$ Its square is "
        f"$\\left(\\frac{{{b}}}{{{a}}}\\right)^2$, so the answer is \\boxed{{-{b}/{a}}}."
    )


def _verses(rng: Random) -> str:
    refrain = sentence(rng)
    return "\n\n".join("\n".join([sentence(rng), sentence(rng), sentence(rng), refrain]) for _ in range(3))


def _boxes(rng: Random) -> str:
    def box() -> str:
        x, y = rng.randint(0, 900), rng.randint(0, 900)
        return f"[{x}, {y}, {x + rng.randint(1, 99)}, {y + rng.randint(1, 99)}]"

    return "".join(
        f"<ref>{rng.choice(_NOUNS)}</ref><box>[{box()}, {box()}]</box>" for _ in range(rng.randint(3, 12))
    )


def _numbers(rng: Random) -> str:
    return "The values are " + ", ".join(str(rng.randint(0, 10**6)) for _ in range(40)) + "."


def _links(rng: Random) -> str:
    return f"{prose(rng, 3)} See https://example.org/{rng.choice(_NOUNS)} for more."


def _listed(rng: Random) -> str:
    return "\n".join(
        f"{n}. {_phrase(rng)} {rng.choice(_VERBS)} {_phrase(rng)}" for n in range(1, rng.randint(6, 14))
    )


def _floats(rng: Random) -> str:
    large, small = rng.randint(1, 9), rng.randint(1, 999)
    return f"The result is {large},000,000,000 or 0.00000{small} in other units. {sentence(rng)}"


def _json(rng: Random) -> str:
    return json.dumps(
        {name: [rng.randint(0, 99) for _ in range(4)] for name in rng.sample(_NOUNS, 8)}, indent=1
    )


def _art(rng: Random) -> str:
    rows = ["".join(rng.choice(" /\\|_-") for _ in range(24)) for _ in range(8)]
    return "```\n" + "\n".join(rows) + "\n```"


def _laugh(rng: Random) -> str:
    return f"{'ha' * rng.randint(2, 6)}! {sentence(rng)} {'So' + 'o' * rng.randint(1, 8)} good!!!"


def _binary(rng: Random) -> str:
    return f"In binary it is {rng.getrandbits(8):032b}, in hex 0x{rng.getrandbits(16):08x}. {sentence(rng)}"


def _unfinished_list(rng: Random) -> str:
    items = "\n".join(f"- {_phrase(rng)}" for _ in range(6))
    return f"{sentence(rng)} {sentence(rng)} In short:\n{items}"


def _no_stop(rng: Random) -> str:
    """Answers of people who leave out the last stop."""
    return prose(rng, rng.randint(2, 5))[:-1]


def _plain_code(rng: Random) -> str:
    """Code without a fence."""
    return "\n".join(
        f"{name} = [{name}[i] * {number} % 7 for i in range(len({name}))] if {name} else {{}}"
        for number, name in enumerate(rng.sample(_NOUNS, 5))
    )


def _none(rng: Random) -> str:
    return rng.choice(("None", "unknown", "none.", "N/A"))


def _song(rng: Random) -> str:
    refrain = "\n".join(sentence(rng) for _ in range(2))
    verses = ["\n".join(sentence(rng) for _ in range(rng.randint(2, 4))) for _ in range(4)]
    return f"\n\n{refrain}\n\n".join(verses)


def _references(rng: Random) -> str:
    links = [f"- https://example.org/{rng.choice(_NOUNS)}" for _ in range(rng.randint(2, 5))]
    return "\n".join([sentence(rng), *links])


def _emoji(rng: Random) -> str:
    return " ".join(f"{sentence(rng)} {rng.choice('😀🎉🚀🌍')}" for _ in range(3))


HARD: tuple[Callable[[Random], str], ...] = (
    _art, _laugh, _binary, _unfinished_list, _no_stop, _plain_code, _none, _song, _references, _emoji,
)  # fmt: skip
"""Clean by our judgement; some of them can't be told from a fault without understanding."""

LOOKALIKES: tuple[Callable[[Random], str], ...] = (
    _code, _table, _formulas, _verses, _boxes, _numbers, _links, _listed, _floats, _json,
)  # fmt: skip

FOREIGN = (
    (
        "这张图片里有什么？",
        "图片中有一只黑色的猫坐在窗台上，窗外是一条安静的街道，远处可以看到几棵树和一座小桥。",
    ),
    ("为什么天空是蓝色的？", "因为大气分子对短波长的光散射得更强，所以我们从各个方向看到的主要是蓝光。"),
    (
        "Was ist auf dem Bild zu sehen?",
        "Auf dem Bild ist ein Hund, der mit einem Ball auf der Wiese und nicht im Haus spielt.",
    ),
    (
        "Что изображено на картинке?",
        "На картинке изображён старый деревянный дом, рядом с которым стоит велосипед.",
    ),
    (
        "Translate into Russian: the old house stands by the river.",
        "Старый дом стоит у реки, как и много лет назад.",
    ),
    ("この絵には何がありますか？", "この絵には赤い車と大きな木があり、その隣に小さな犬が座っています。"),
    ("What is written on the sign? Read the text.", "小心地滑，请勿奔跑，注意安全，谢谢合作，欢迎再次光临。"),
)

# Planted faults.


def _ngram(rng: Random) -> str:
    pool = [sentence(rng) + " " + sentence(rng) for _ in range(3)]
    again = " ".join(rng.choice(pool) for _ in range(rng.randint(4, 20)))
    return f"{prose(rng, rng.randint(2, 12))} {again}"


def _lines(rng: Random) -> str:
    lines = [sentence(rng) for _ in range(rng.randint(4, 8))]
    lines += [rng.choice(lines) for _ in range(rng.randint(1, 2 * len(lines)))]
    return "\n".join(rng.sample(lines, len(lines)))


def _loop(rng: Random) -> str:
    phrase = rng.choice(
        ("Wait, let me check that again.", "no, that is wrong,", "So the answer is 4.", sentence(rng))
    )
    return prose(rng, rng.randint(1, 6)) + " " + " ".join([phrase] * rng.randint(2, 40))


def _run(rng: Random) -> str:
    return prose(rng, 2) + " " + rng.choice("aA!?哈。x") * rng.randint(10, 200)


def _zeros(rng: Random) -> str:
    return f"The result is 1.{rng.choice(('0', '0, ', '0 ', '000,')) * rng.randint(8, 200)} {sentence(rng)}"


def _unending(rng: Random) -> str:
    return " ".join(sentence(rng)[:-1].lower() for _ in range(rng.randint(10, 80))) + "."


def _addresses(rng: Random) -> str:
    def link(number: int) -> str:
        return f"https://{rng.choice(_NOUNS)}.example.com/{rng.getrandbits(64):x}?id={number}"

    return prose(rng, rng.randint(1, 4)) + "\n" + "\n".join(link(n) for n in range(rng.randint(1, 10)))


def _signs(rng: Random) -> str:
    noise = "".join(rng.choice("#@&%*_\\/|{}[]<>^~§¤¬") for _ in range(rng.randint(20, 300)))
    return prose(rng, rng.randint(1, 3)) + " " + noise


def _mojibake(rng: Random) -> str:
    if rng.random() < 0.5:
        broken = "Das Gebäude gehört natürlich zur Universität für Künste.".encode().decode("latin-1")
        return prose(rng, rng.randint(1, 5)) + " " + broken
    return "".join("\ufffd" if rng.random() < 0.01 else c for c in prose(rng, 4))


_PLACEHOLDERS = (
    *("TODO", "{answer}", "[answer here]", "Lorem ipsum dolor sit amet, consectetur.", "N/A", "...", "None"),
    *("null", "<answer>", "Insert your answer here", "your answer here", "response_placeholder", "undefined"),
    *("-", "tbd", "see above", "answer goes here", "xx", "test test"),
)


def _placeholder(rng: Random) -> str:
    return rng.choice(_PLACEHOLDERS)


def _cut(rng: Random) -> str:
    draw = rng.random()
    if draw < 0.4:
        inside = _code(rng).split("```python\n")[1].split("```")[0]
        return "Here is the code:\n\n```python\n" + inside[: rng.randint(80, 200)]
    text = prose(rng, rng.randint(5, 12))
    if draw < 0.5:  # cut behind a sentence: nothing shows it
        return text[: text.rindex(".", 0, len(text) - 12) + 1]
    return text[: text.rindex(" ", 0, len(text) - 12)]


def _other_language(rng: Random) -> str:
    short = (
        "Ja, das ist ein Hund.",
        "C'est une grande maison blanche au bord de la mer.",
        "Una casa blanca.",
    )
    return rng.choice([answer for _, answer in FOREIGN[:4]] + [FOREIGN[5][1], *short])


def _monster(rng: Random) -> str:
    return prose(rng, rng.randint(200, 2000))


FAULTS: dict[str, Callable[[Random], str]] = {
    "ngram_repetition": _ngram, "repeated_lines": _lines, "phrase_loop": _loop, "character_run": _run,
    "zero_run": _zeros, "sentence_length": _unending, "url_share": _addresses, "symbol_share": _signs,
    "garbled": _mojibake, "placeholder": _placeholder, "truncated": _cut,
    "language_mismatch": _other_language, "empty_answer": lambda rng: rng.choice(("", " ", "\n")),
}  # fmt: skip


def turns(question: str, answer: str) -> Turns:
    """One question and its answer."""
    return [("user", question), ("assistant", answer)]


def _talk(rng: Random, count: int) -> Iterator[Turns]:
    """Playground conversations without their pictures: the caption in words."""
    reader = PlaygroundReader(PlaygroundSource(mode="caption", questions=3, seed=rng.getrandbits(30)))
    yield from (marked_turns(reader.conversation(index)) for index in range(count))


def _talks(rng: Random) -> list[tuple[str | None, Turns]]:
    """Short text: playground talk, answers with unusual looks, other languages, faults, a few monsters."""
    made: list[tuple[str | None, Turns]] = [(None, talk) for talk in _talk(rng, 400)]
    made += [(None, turns(ask(rng), look(rng))) for look in LOOKALIKES + HARD for _ in range(16)]
    made += [(None, turns(*rng.choice(FOREIGN))) for _ in range(60)]
    made += [(name, turns(ask(rng), plant(rng))) for name, plant in FAULTS.items() for _ in range(EACH)]
    return made


def _essays(rng: Random) -> list[tuple[str | None, Turns]]:
    """Long text of usual length, and answers far from it."""
    made: list[tuple[str | None, Turns]] = []
    made += [(None, turns(ask(rng), prose(rng, rng.randint(15, 60)))) for _ in range(300)]
    made += [("length_outlier", turns(ask(rng), _monster(rng))) for _ in range(8)]
    made += [
        ("length_outlier", turns(ask(rng), rng.choice(("Yes.", "Maybe", "No idea.")))) for _ in range(22)
    ]
    return made


def write_corpus(folder: Path, seed: int = 0) -> tuple[Path, Planted]:
    """Write the corpus and its manifest; returns the manifest and what was planted where."""
    rng = Random(seed)
    folder.mkdir(parents=True, exist_ok=True)
    planted: Planted = {}
    meta: dict[str, Any] = {}
    for name, made in (("talk", _talks(rng)), ("essays", _essays(rng))):
        rng.shuffle(made)
        with (folder / f"{name}.jsonl").open("wb") as lines:
            for index, (fault, talk) in enumerate(made):
                lines.write(json_line(internvl_record(index, talk)))
                if fault is not None:
                    planted[name, index] = fault
        meta[name] = {"root": ".", "annotation": f"{name}.jsonl", "data_augment": False, "repeat_time": 1}
    drawn = write_dataset(folder / "drawn", count=240, seed=seed)
    for name, entry in json.loads(drawn.meta.read_text(encoding="utf-8")).items():
        meta[name] = {**entry, "root": "drawn", "annotation": f"drawn/{entry['annotation']}"}
    manifest = folder / "manifest.json"
    write_meta(manifest, meta)
    return manifest, planted
