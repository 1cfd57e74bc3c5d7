"""Training of ears: `stage_1` and `stage_2` as InternOmni had them, `scale_model` their miniature.

InternOmni trained the MLP behind the audio encoder alone; the miniature, without a Whisper, trains that, too.
"""
