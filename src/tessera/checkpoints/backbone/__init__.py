"""A vision encoder on its own: pictures to features, at any resolution and of any layer.

Read `pictures` (what may be given, how it becomes pixels), `features` (what comes out), `encoder` (batches of
constant memory) and `opening` (`tessera.load_vision`). Must not know text, conversations or what becomes
of features.
"""
