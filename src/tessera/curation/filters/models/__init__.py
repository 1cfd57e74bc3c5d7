"""Scores from a language model: `scorer` (what one must offer), `model_steps` (what is asked, and how),
`reply_store` (nothing is asked twice) and `endpoint` (a server). Must not know rules or decisions.
"""
