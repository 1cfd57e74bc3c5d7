"""Short answers to tasks that have rules of their own, and the figures that are made of them.

Read any: `ocr`, `mirb`, `remote_sensing`, `spatial`, `solutions`, `vcr` (with `english_words`). Which kind of
task a question is stands in its columns. Must not know benchmarks by name.
"""
