"""From a folder to the best model within a budget (fit.py DIR), and a new folder labelled by it (fit.py predict OUT DIR2)."""

from __future__ import annotations

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # matrices are tiny: threads cost more than they bring

from lib.command_line import run_command
from lib.commands.fit import fit

if __name__ == "__main__":
    run_command(fit)
