"""A model put together from a vision encoder and a language model that come from anywhere.

Read `parts` (what a folder says that holds an encoder or a decoder, alone or in a whole model), then
`assembly`, which makes one model of the two, with a connector of its own; `ears` adds an audio encoder.
"""
