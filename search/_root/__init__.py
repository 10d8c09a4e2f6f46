"""What import kerasweep offers."""
