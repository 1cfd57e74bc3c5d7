"""What clips are made of: video files, animated pictures, stills.

Read `container` (FFmpeg, kept on a lead), `headers` (what files promise), then `animation` and `stills`.
`imaging.video` puts them together. Must not know tiles, text or records.
"""
