"""Pictures and short clips, drawn from a seed, with questions whose answers are known to be right.

Read in this order: `parts` (what a scene is made of), `scene` (the door: suites, tasks, `draw_scene`), one
suite (`shapes`, `text`, `chart`, `pair`, `clip`, `clock`, `reasoning`), `talk` (scenes as conversations).
`drawings` puts things on a canvas, `questions` asks about them. Equal seeds give equal pixels and words:
draws keep their order.
Must not know files, records or models.
"""
