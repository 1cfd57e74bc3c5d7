"""Names of what differs between published experts, for configs, which need no torch."""

from typing import Literal

Shares = Literal["all", "all_normalised", "chosen"]
"""What shares add up over: `all` are probabilities among all experts (Qwen3-MoE without norm_topk_prob),
`all_normalised` these divided by the sum of the chosen ones, `chosen` a softmax of the chosen scores
(GPT-OSS)."""
GateKind = Literal["silu", "clamped"]
"""`silu`: Qwen3-MoE, the gate's rows before the others. `clamped`: GPT-OSS, the two take turns."""
CLAMPED_ALPHA, CLAMPED_LIMIT = 1.702, 7.0
"""GPT-OSS: `swiglu_alpha` and `swiglu_limit` (docs/facts/moe.md)."""
