"""Files of a benchmark to its questions.

Read `item` (what a question is), `open` (the door); below it `files`, `table` with `cells`, `arrow_rows`,
`row`, `joined` with `lookup`, then what becomes of a row: `answers`, `pictures` with `store`.
It must not know how questions are asked or scored.
"""
