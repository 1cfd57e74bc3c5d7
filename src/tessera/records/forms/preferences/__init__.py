"""Records with a chosen and a rejected answer to one prompt.

Read `answers` (what these forms share, and answers beside the turns of other forms), `mmpr` (texts), `trl`
(texts or messages, with or without a prompt of its own), then `slips` (keys that are nearly right).
"""
