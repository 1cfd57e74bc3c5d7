"""What a run needs to go on exactly: `folder` writes and reads states, `resume` says whether a run may go on,
`replays` keeps batches of steps that were no number.

Knows no objective; the loader gives its own position as plain values.
"""
