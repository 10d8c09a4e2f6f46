"""What is searched, and how long a trial is; imports nothing, since one of the drivers reads it too."""

from __future__ import annotations

UNITS = (32, 128, 16)
LEARNING_RATE = (1e-4, 1e-2)
DROPOUT = (0.0, 0.5)
EPOCHS = 10
BATCH_SIZE = 32
