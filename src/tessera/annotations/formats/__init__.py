"""One reader a format: an annotation file to drafts of conversations.

Begin with `rows` (tables and JSON, for all) and `captions`, the shortest. `coco` and `dota` gather boxes that
`objects` asks about, `ocr` takes its lines from `text_lines`. Must not know where records are written.
"""
