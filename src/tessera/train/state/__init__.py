"""What a run needs to go on exactly: `shards` writes and reads tensors, `folder` makes whole states of them,
`change` says what must be in them, `resume` whether a run may go on, `replays` keeps steps of no number.

Knows no objective; the loader gives its own position as plain values.
"""
