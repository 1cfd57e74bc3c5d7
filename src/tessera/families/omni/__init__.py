"""InternOmni: InternVL 2 that hears, through Whisper's encoder and a second MLP (docs/facts/audio.md).

Read `model` (the parts), then `layout` and `weights` (the published files), `catalogue`, `architecture`.
Pictures, prompts and the language model are InternVL's own.
"""
