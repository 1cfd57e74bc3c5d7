"""One record as a sample: frames drawn, too long ones cut, ids and tiles encoded, tokens weighed.

Read: `encode` (the way), then `clips`, `overlong`, `document` and `weights`. It must not know packs or plans.
"""
