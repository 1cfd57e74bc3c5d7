"""Other people's engines, to compare with: what they feed for a conversation, and their models as oracles.

Read `compare` (two prompts aligned), then `transformers_prompts` and `server` (how a prompt is got out of an
engine), and `transformers_twin` (their model with our weights). It must not know checkpoints, training or our
engine: prompts come as messages and ids, models by value.
"""
