"""`python -m trials`."""

from trials.main import cli

cli(prog_name="python -m trials")
