"""The words the playground writes: common, short, in lower case; by length."""

from __future__ import annotations

_THREE = """
ant arm bag bat bed bee box boy bus car cat cow cup dog ear egg end eye fan fox gas hat ice ink jam jar key
kid leg lid man map net nut oil owl pan pen pig red rug sea sky sun tea ten top toy van zoo
"""
_FOUR = """
ball bank bear bird boat book cake city coin door drum duck fish flag frog game gate gold hand idea jump king
kiwi lake lamp leaf lion menu moon nest open oven pair park path rain ring road sail ship snow song taxi tree
unit wave wind wolf yard zero
"""
_FIVE = """
apple beach bread chair cloud dance earth fruit glass grass heart horse house juice knife lemon light money
mouse music night ocean paint paper piano plant queen river sheep shirt sleep smile snake stone sugar table
tiger train water world
"""
WORDS: dict[int, tuple[str, ...]] = {
    3: tuple(_THREE.split()),
    4: tuple(_FOUR.split()),
    5: tuple(_FIVE.split()),
}
LETTER_POOL = "".join("".join(words) for words in WORDS.values())
"""Every letter as often as the words hold it."""
