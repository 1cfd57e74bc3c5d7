"""The forms in which records are written, each read into messages; faults are gathered and told together.

Read `detect` (all forms in one table, and what all records go through), `turns` (texts with marks),
`internvl`, then any other. `openai` is read by `chat.openai`, as in chat. A form must not know files,
readers or tiles: media become sources and are not opened, but for boxes in pixels (`objects`).
"""
