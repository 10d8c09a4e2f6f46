"""Where it runs: slots, trainers, Ray."""
