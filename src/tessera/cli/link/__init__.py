"""`tessera link …`: pictures with masks to learn from, and how well a model masks what it is asked for.

Read `draw`, `evaluate`; `showing` lays masks over pictures. Prints and reads files; must not know tensors.
"""
