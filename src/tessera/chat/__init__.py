"""Conversations to tokens: the one path of training, chat, evaluation and serving.

Read `message` (conversations as values), `openai` and `cards` (how people write them), `templates` and
`render` (messages to ids and loss weights in one pass), `encoder` (the whole path, pictures included), then
`tokenizer/`. `tokens` and `frame_labels` are tables. It must not know models, files of records, or who asks.
"""
