"""From the states of a vision encoder to features of the decoder's width.

`mlp` is InternVL's pixel shuffle and MLP (`mlp1`). Knows neither encoder nor decoder.
"""
