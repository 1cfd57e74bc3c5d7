"""How many tokens a tile becomes, decided by a look at it: the visual resolution router of Flash models.

Read `config` (values), `router` (the two parts that decide) and `forms` (features of tiles in either form).
Knows no text; which tiles belong together is the caller's matter.
"""
