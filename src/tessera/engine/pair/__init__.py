"""A contrastive pair that is open: pictures and texts to vectors, pictures to captions.

Read `model` (the class that people hold), `opening`, then `captions` over `beam` (beam search on any scores).
It must not know indexes, labels or servers.
"""
