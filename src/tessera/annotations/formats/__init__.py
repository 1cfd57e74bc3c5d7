"""One reader a format: an annotation file to drafts of conversations.

`rows` reads tables and JSON for all; `coco`, `dota` and `ocr` ask through `objects` and `text_lines`. Begin with
`captions`, the shortest. Must not know where records are written.
"""
