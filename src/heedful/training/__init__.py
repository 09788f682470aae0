"""Loss, schedules, the training loop, checkpoints, records."""
