"""What suites draw with: `marks` (canvas, masks, glyphs, colours), `things` (shapes in places), `writing`.

Drawing alone: which question is asked, and how, is decided in `questions`.
"""
