"""Checkpoints whose blocks keep a byte or half a byte a weight: our own form, and AWQ's.

Read `form` (what a folder of ours says and holds), `awq` (files of the released `-AWQ` models), `mxfp4`
(GPT-OSS's experts), then `writing` (any checkpoint to our form, read back). How well the result answers is
measured in `evaluation`.
"""
