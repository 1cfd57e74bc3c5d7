"""Flash models in the engine: tiles of two lengths, decided by a look at them before the prompt is written.

Read `looker` (the look that an encoder asks) and `tiles` (which tokens of a prompt belong to which tile). The
ViT's states of that look are kept for the step that computes the features.
"""
