"""LoRA factors between models and PEFT's files.

Read `factors` (what stands beside one linear, under its own name or under stored names), `writing` (a trained
adapter as PEFT saves it), `attaching` (an adapter's factors beside the linears of a model, to go on with)
and `merging` (one model at the end). `checkpoints.adapter` reads the files and
merges. Must not know rules, stages or runs.
"""
