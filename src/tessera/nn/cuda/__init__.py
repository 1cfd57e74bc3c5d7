"""What a CUDA device does faster than a call of PyTorch for each thing: the newest token of every sequence.

Read `kernels` (functions of tensors), `programs` (their Triton) and `newest` (a decoder's step made of them,
which a graph can record). Only inference comes here, and Triton is imported where it is used: PyTorch brings
it along for CUDA alone. The room must not know models.
"""
