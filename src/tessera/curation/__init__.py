"""Judging data before training: what is in it, what is wrong with it, and a clean copy.

Read: `survey` (the one look at all records) with `examine` (one record), `lengths`, `estimate` and
`duplicates`; `check` (the same look before the first step); `repair` (the clean copy), `values` (the survey
as plain values). `filters/` judges content, `report/` shows both on pages.

It must not know models or training; it reads records and packs as training will.
"""
