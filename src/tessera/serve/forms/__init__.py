"""The endpoints' shapes: what their bodies may hold, and how answers are written there.

Read `fields` (what all bodies share), `chat`, `grammars` (what an answer must look like), then `completions`,
`responses` with `response_items`, `tokenize`; `tokens` writes log-probabilities, `stream` lines of a stream.
They must not know where requests come from.
"""
