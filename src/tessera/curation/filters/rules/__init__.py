"""Rules that need no model: pure functions from a text to its strongest finding.

Read `finding` (findings, levels, rows), `table` (all rules with their default levels), then the rules in
`repetition`, `content`, `language`; `prose` says what of a text counts. Must not know sources or files.
"""
