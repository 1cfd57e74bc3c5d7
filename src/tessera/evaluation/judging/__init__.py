"""What a judge is asked about answers that rules can't settle, and what its replies make of them.

Read `judge` (rules by name, questions, verdicts). The rules are files in assets/judges; replies are read by
`scoring/judged`. Must not know who asks and how: whoever does keeps every reply.
"""
