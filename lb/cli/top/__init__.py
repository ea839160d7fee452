"""`lb top`: the backends live in a terminal.

`board.py` makes rows of snapshots and `columns.py` says what a terminal of some width
shows of them; both are pure, and all that `--once` needs. The others are the screen, on
Textual, which nothing else imports.
"""
