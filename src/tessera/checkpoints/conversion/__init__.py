"""From one layout to another, tensor by tensor, with proof.

`convert` writes, `proof` reads back and compares, `agreement` asks both ends the same random prompt.
"""
