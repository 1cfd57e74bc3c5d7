"""Other people's engines, to compare with: what they feed for a conversation, and their models as oracles.

Read `compare` (two prompts aligned), then `transformers_prompts` and `server` (how a prompt is got out of an
engine), `transformers_twin` (their model with our weights); then `engines`, `starting` and `probing` (serving
engines: their commands, their processes, what they feed). It must not know checkpoints, training or our
engine: prompts come as messages and ids, models by value.
"""
