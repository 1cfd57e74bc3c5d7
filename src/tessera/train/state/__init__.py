"""What a run needs to go on exactly: `folder` writes and reads states, `resume` says whether a run may go on.

Knows no objective; the loader gives its own position as plain values.
"""
