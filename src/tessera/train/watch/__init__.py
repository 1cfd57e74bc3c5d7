"""What a run says about itself: `telemetry` is a step's report, `lines` the files of a line a step, `spikes`
finds steps that stand out, `best` the best one, `evaluation` is what a model is asked on the way, `journal`
writes all of it and reads it again.

Telemetry is a return value: nothing here prints, and nothing here decides what is learned.
"""
