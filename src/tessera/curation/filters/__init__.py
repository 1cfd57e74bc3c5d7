"""InternVL2.5's cleaning of data: rules and a model judge, a person decides, a clean manifest is written.

Read in this order: `config`, `run` (two passes and their files), `sources` and `judge` (what the rules say of
a record), `rules`, `models` (scores by a model), `outcome` (with people's decisions), `clean` (what is
written). `length` and `domains` serve the judge.
Must not know packing, training or what a score is used for later; nothing here deletes a record.
"""
