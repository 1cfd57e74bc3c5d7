"""The verbs about recipes: list and copy (`recipes`), run (`train`), run and measure (`demo`)."""
