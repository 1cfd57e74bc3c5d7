"""The pair of 1.0: InternViT-6B, QLLaMA, attention pooling into one space."""

from tessera.families.internvl_g import config
from tessera.families.internvl_g.catalogue import TOY_PAIRS
from tessera.families.pairs import PairFamily

INTERNVL_G = PairFamily(name="internvl_g", layout=config, toys=TOY_PAIRS)
