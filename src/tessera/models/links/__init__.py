"""Link tokens: what a model hands to other decoders (InternVL2's routing tokens, VisionLLM v2's super link).

Read `config` (what is declared), `parts` (queries and projections), `maps` (patches of a whole picture),
`masks` (a small mask decoder). Must not know text, tokenizers or where results go.
"""
