"""What the suites ask: `asker` collects questions in the wordings of assets/playground/wording.txt.

`things` and `writing` ask about one picture of shapes or of words and numbers. Nothing here draws.
"""
