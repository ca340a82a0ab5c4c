"""What a metric stands on: calibration, the subject and its shared edits, prior, perception, factors, pictures."""
