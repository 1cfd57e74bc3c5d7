"""InternVL 1.0's pair, InternVL-14B-224px and its fine-tunes for retrieval, as internvl_g stores it.

`config` reads and writes config.json, `weights` has the key table, `catalogue` the released members and toys;
`architecture` declares them. Knows no tensors.
"""
