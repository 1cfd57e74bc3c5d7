"""Open answers that a judge has to mark: what its reply says, and figures of the marks.

Read `replies` (a reply to a mark), `scorers` (what stands where no judge was asked), then `figures`.
Must not know prompts, models or files.
"""
