"""Media files that are opened for their content alone: `contents` (FFmpeg on a lead), `streams` (open files).

Must not know what pictures, clips or sounds are.
"""
