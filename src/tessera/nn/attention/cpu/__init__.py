"""Attention on CPUs: `kernel` chooses, `short` trains short sequences, `blocks` reads long ones, `together`
decodes many short ones.

Only this folder and `nn/cpu/` may call torch's private operators.
"""
