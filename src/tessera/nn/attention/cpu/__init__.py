"""Attention on CPUs: `kernel` chooses, `short` trains short sequences, `blocks` reads long ones.

Only this folder and `nn/cpu/` may call torch's private operators. It knows no cache: what is cached comes
as a pair of keys and values for each sequence.
"""
