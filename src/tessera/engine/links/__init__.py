"""Link tokens of answers: their states, and the decoders that make masks, boxes and pictures of them.

Read `watch` (states of one answer on its way), `decoders` (who takes them), `linker`, `masks`.
Must not know how a decoder was trained, or how results are shown.
"""
