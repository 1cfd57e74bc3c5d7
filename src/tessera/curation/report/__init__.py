"""Pages and previews of data: what a check found, records as the model gets them, packs as a picture.

Read `seen` (a record as tokens with weights and media), then `packs` (the loader's first packs, planned
from lengths), then `pages` (both, and a survey, handed to room `pages`).
Nothing here writes HTML, and nothing here changes a record or a plan.
"""
