"""Feed-forward parts of which each token takes a few: routed experts.

Read `kinds` (words for configs), `routing` (which experts a token takes, and in what shares), `stack` (the
matrices of all experts, one below the other), `grouped` (products of rows sorted by expert), `mixture` (the
block's part made of them) and `balance` (the loss that spreads tokens). The room must not know models,
families or ranks.
"""
