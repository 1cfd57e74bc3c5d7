"""The words the playground writes: common, short, in lower case; by length."""

from __future__ import annotations

WORDS: dict[int, tuple[str, ...]] = {
    3: tuple(
        """ant arm bag bat bed bee box boy bus car cat cow cup dog ear egg end eye fan fox
        gas hat ice ink jam jar key kid leg lid man map net nut oil owl pan pen pig red
        rug sea sky sun tea ten top toy van zoo""".split()
    ),
    4: tuple(
        """apex area atom ball bank bear bird boat book cake city coin door drum duck fish flag frog
        game gate gold hand idea idol jump king kiwi lake lamp leaf lion moon nest open pair park
        path rain ring road ship snow song tree unit wave wind wolf yard""".split()
    ),
    5: tuple(
        """apple beach bread chair cloud dance earth fruit glass grass heart horse house juice knife
        lemon light money mouse music night ocean paint paper piano plant queen river sheep shirt
        sleep smile snake stone sugar table tiger train water world""".split()
    ),
}
LETTERS = "abcdefghijklmnopqrstuvwxyz"
