"""What a terminal gets: tables (`tables`), signs that it can show (`encoding`), wrong command lines in one
line (`mistakes`). It knows no verb. `tables` draws with rich; the others come with every call and stay light.
"""
