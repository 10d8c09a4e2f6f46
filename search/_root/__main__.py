"""`python -m kerasweep` is the command line."""

from kerasweep.search.cli import main

main()
