"""Pictures and short clips, drawn from a seed, with questions whose answers are known to be right."""
