"""`python -m svebm_ext.experiments`."""

from svebm_ext.commands import run_command
from svebm_ext.experiments import main

if __name__ == "__main__":
    run_command(main)
