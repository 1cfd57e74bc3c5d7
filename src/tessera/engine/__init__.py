"""Inference: a question to an answer, one or many at once.

Read `chat_model` (what users call), `request` (a question read once), `engine` (many prompts at once),
`core/` (how they share one model), `sampling/`, `stream`, `completion`; `opening` finds and places a
checkpoint. `reference` is the slow oracle. It must not know training, and texts only through `chat`.
"""
