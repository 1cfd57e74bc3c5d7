"""The words the playground writes: common, short, in lower case; by length."""

_ALL = """
ant arm bag bat bed bee box boy bus car cat cow cup dog ear egg end eye fan fox gas hat ice ink jam jar key
kid leg lid man map net nut oil owl pan pen pig red rug sea sky sun tea ten top toy van zoo
ball bank bear bird boat book cake city coin door drum duck fish flag frog game gate gold hand idea jump king
kiwi lake lamp leaf lion menu moon nest open oven pair park path rain ring road sail ship snow song taxi tree
unit wave wind wolf yard zero
apple beach bread chair cloud dance earth fruit glass grass heart horse house juice knife lemon light money
mouse music night ocean paint paper piano plant queen river sheep shirt sleep smile snake stone sugar table
tiger train water world
"""
WORDS = {length: tuple(word for word in _ALL.split() if len(word) == length) for length in (3, 4, 5)}
LETTER_POOL = "".join(_ALL.split())
"""Every letter as often as the words hold it."""
