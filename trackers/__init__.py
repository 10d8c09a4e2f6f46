"""What is recorded: events, the journal and its projections."""
