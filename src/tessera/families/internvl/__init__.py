"""InternVL 1.1 to 3.5, dense: the declaration in `architecture` names everything else.

`catalogue/` has the released members, `config/` the two published config files, `weights` the key tables,
`prompt` the files that say how turns are written, `preprocess` those about pixels. Another family is a folder
with the same file names.
"""
