"""Places in pictures: boxes by overlap, points by the box they fall in.

Read `truth` (the right box of a question), `said_boxes` and `said_points` (what an answer says), `overlap`,
then `scorers` and `figures`; `cameras` puts points of a mosaic back into its pictures.
Must not know files, prompts or benchmarks; peers' slips are told on docs/facts/evaluation.md.
"""
