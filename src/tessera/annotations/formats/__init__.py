"""One reader a format: an annotation file to drafts of conversations.

Begin with `rows` (tables and JSON, for all) and `captions`, the shortest. `coco` and `dota` gather boxes that
`objects` asks about, `ocr` text lines. Must not know where records are written.
"""
