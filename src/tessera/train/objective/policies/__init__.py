"""What on-policy training is made of, below its objective.

Read `rollouts` (what is asked and said, and the batches that it makes), then `loader`. Who answers, and what
an answer is worth, comes from outside: it must not know an engine.
"""
