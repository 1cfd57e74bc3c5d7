"""Solutions to data for a process reward model: how often each step still leads to the right answer.

Read `steps` (a response in pieces), `solutions` (lines to solutions), `continuing` (steps to requests,
replies to scores), `talk` (steps as turns to be judged), `records`, `building` (file to folder), `step_page`.
The rules are on docs/facts/process_reward.md. Must not know models.
"""
