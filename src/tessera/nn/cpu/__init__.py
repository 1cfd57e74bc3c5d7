"""What a CPU does faster than `F.linear`: PyTorch's private operators, and kernels of our own in C.

Read `operators`, `kernels/` (the C sources), `building` (compiled at first use, kept in the user's cache),
`native` (what is in there, as functions of tensors), `routes` (which way is taken, by measuring) and `pages`.
Only inference comes here for the C kernels. The room must not know layers or models.
"""
