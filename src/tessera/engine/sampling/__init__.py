"""From scores to tokens: how a request wants its tokens chosen, and the choice.

Read `options` and `grammar` (what can be asked), `chooser` (one request's side), `choose` (one token for
every row of scores), then the parts: `penalties`, `constraints`, `cuts`, `likelihood`, `loops`;
`forced_calls` makes a grammar of tools, `repeats` bounds expressions, `drafts` guesses ahead. It must not
know the model, the cache, or how requests share a step.
"""
