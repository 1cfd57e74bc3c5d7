"""Ordinary annotations (COCO, DOTA, OCR, VQA, camera views …) to records: `tessera data build`.

Read in this order: `build` (kinds and one run), `job` (turns and drafts), one reader of `formats/`, `writer`;
`objects` asks about boxes, `wording` reads phrasings, `rejects` counts what is left out.
Must not know: packing, models and tokens, or how a record is read; `records` writes and checks it.
"""
