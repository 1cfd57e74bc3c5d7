"""Containers of records, each the same small interface: a record by number, in memory that doesn't grow.

Read: `container` (the interface), `json_file` with `json_bounds`, `parquet`, `tar`; then `records`, which
makes one source of many files, and `playground`, which draws instead of reading.

It must not know the forms of records beyond asking `forms/` to parse one.
"""
