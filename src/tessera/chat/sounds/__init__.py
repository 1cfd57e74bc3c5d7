"""Sounds in conversations: `rule` counts their placeholders and gives what the model hears.

Must not know models, or how sounds are decoded.
"""
