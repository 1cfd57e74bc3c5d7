"""Numbers with units: which words are units, and which of them are the same."""

import re

_SAME = """°: degree degrees deg 度|%: percent|$: dollar dollars|m: 米 meter meters metre metres|
cm: 厘米 centimeter centimeters centimetre centimetres|mm: millimeter millimeters 毫米|
km: 千米 公里 kilometer kilometers|kg: 千克 公斤 kilogram kilograms|g: 克 gram grams|
s: 秒 sec second seconds|min: 分钟 minute minutes|h: 小时 hr hrs hour hours|days: day 天|years: year 岁|
m2: 平方米|cm2: 平方厘米|m3: 立方米|ml: 毫升|l: 升|¥: 元|ft: foot feet|in: inch inches|yd: yard yards|
miles: mile|cents: cent|units: unit|mph:|km/h:|m/s:|t:|°c:|°f:|人:|个:"""
_UNITS = {
    word: name.strip()
    for name, _, words in (entry.partition(":") for entry in _SAME.replace("\n", "").split("|"))
    for word in (name.strip(), *words.split())
}
_BEHIND = re.compile(
    r"^(?P<value>.*[\d)}])(?P<space>\s*)(?P<unit>[^\W\d_]+(?:/[^\W\d_]+)?|%|°\s*[CF]?)"
    r"(?:\s*\^?\{?(?P<power>[23])\}?)?$",
    re.DOTALL,
)


def split_unit(text: str) -> tuple[str, str]:
    """A text as value and unit, "" without one. One letter is a unit only behind a space: `5m` is a product.

    >>> split_unit("12 cm^2"), split_unit("90°"), split_unit("5x")
    (('12', 'cm2'), ('90', '°'), ('5x', ''))
    """
    found = _BEHIND.match(text)
    if not found:
        return text, ""
    written = found["unit"].lower().replace(" ", "")
    one_letter = len(written) == 1 and written.isascii() and written.isalpha()
    if written not in _UNITS or (one_letter and not found["space"]):
        return text, ""
    return found["value"].strip(), _UNITS[written] + (found["power"] or "")
