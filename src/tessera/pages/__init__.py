"""Every HTML page of the package: one frame, one style sheet, and blocks to fill it with.

A page is one file that loads nothing from outside, is readable on a phone, and is light or dark as the
reader's system asks. Rooms above hand over plain values; only the templates here hold HTML, and Jinja2
escapes whatever is put into them.

Read `blocks` (what a page is made of), then `chart` (the one chart), `difference` (where two texts differ),
then `page` (values to a file).
This room knows no other room: no records, no results, no models.
"""
