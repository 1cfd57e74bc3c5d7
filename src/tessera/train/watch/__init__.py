"""What a run says about itself: `telemetry` writes a report a step and reads them again.

Telemetry is a return value: nothing here prints, and nothing here decides.
"""
