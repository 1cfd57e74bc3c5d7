"""The command line: arguments and printing, and nothing else.

Read `main.py` (the tree of verbs) and `command.py` (what a command is), then the verb you look for: a module
each, its options a frozen class, its `run` a call of another room and some lines of output. `training/` has
the verbs about recipes, `data/` those about training data; `tables.py` says how tables and lines look.

It must not decide what a script would want, too: such code belongs to the room that is called. A verb's
module is imported when the verb is called.
"""
