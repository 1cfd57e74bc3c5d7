"""From scores to tokens: how a request wants its tokens chosen, and the choice.

Read `options` (what can be asked), `choose` (one token for every row of scores), then its parts: `penalties`,
`cuts`, `likelihood`. It must not know the model, the cache, or how requests share a step.
"""
