"""Tensors to tensors: vision encoders, connectors, the decoder, and the model they make together.

Read `config` first, then `vlm` (how parts are put together), `vision/`, `connectors/`, `decoder`, `fusion`,
`positions`. `accounting` adds up what configs say of their parts; `initialise` makes starting values.
Knows no text, no picture files, no checkpoints and no other process.
"""
