"""Responses to preference pairs: files in, files out, in memory that grows by a few bytes a line at most.

Read `response` (a line that was sampled), `verdicts` (the same, judged), `scoring_run` (file to file), then
`pairs` (the pairs of one question), `grouping` (lines by question), `pairing_run` (file to folder), and last
`pair_page` (pairs side by side). A line that is refused is kept beside, with the reason.
The rules are on docs/facts/preferences.md. Must not know models.
"""
