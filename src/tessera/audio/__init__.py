"""Sounds: files of any kind to 16 kHz, and to the log-mel spectrogram that Whisper hears.

Read `sources` (what people give), `container` (FFmpeg on a lead), `decode` (lengths and samples), then `mel`.
`wav` writes samples down. It must not know models, tokens or conversations.
"""
