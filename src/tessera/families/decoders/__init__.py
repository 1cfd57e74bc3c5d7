"""Language models as they are published: their configs, rotary tables and key names, shared by families.

`config` reads and writes a nested config, `rope` its positions, `weights` the key tables, `prompt` which
template the series gave to which kind. Knows no vision.
"""
