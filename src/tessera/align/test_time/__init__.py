"""More computation for a better answer: many candidates, of which one is chosen (docs/test_time.md).

Read `settings` (how candidates are sampled), `answering` (a question to its chosen answer), `model` (what
`tessera.load` returns). What is chosen is decided in `scoring.selection`, how good it is by a critic. Must
not know files.
"""
