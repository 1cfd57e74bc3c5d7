"""Visual consistency learning, by which a model gets a resolution router (ViCO; docs/moe.md).

Read `begin` (fresh parts beside a model), `coarsening` (packs with fewer placeholders), `reference` (the
model that is imitated), `consistency` (the first stage) and `routing` (the second). Knows no engine: tiles of
training are coarse by a draw or by a label.
"""
