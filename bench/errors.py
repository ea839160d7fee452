"""What ends the benchmark, and what only spoils one run of it."""


class BenchError(Exception):
    """The benchmark cannot start or go on; the message says what to do."""


class RunVoidError(Exception):
    """One run does not count: errors, wrong bodies, a proxy that did not start."""
