"""LMDeploy's `pipeline`, as the model cards use it, over `ChatModel`.

Read `config` (how tokens are chosen), `prompts` (its spellings of a question), `response`, `pipe`.
"""
