#!/usr/bin/env python3
"""Runs a training script with --check, by a Python that has the packages it needs, Debian's or this one.

    tests/models/digits_test.py NAME_OF_SCRIPT
"""

import pathlib
import subprocess
import sys

SCRIPTS = pathlib.Path(__file__).resolve().parents[2] / "scripts"
PACKAGES = "numpy, onnx, sklearn"
SKIPPED = 77


def has_packages(python):
    try:
        return subprocess.run([python, "-c", f"import {PACKAGES}"], capture_output=True, check=False).returncode == 0
    except OSError:
        return False


def main():
    for python in ("/usr/bin/python3", sys.executable):
        if has_packages(python):
            # -B: scripts import each other, and leave no compiled files among the sources.
            return subprocess.run([python, "-B", SCRIPTS / sys.argv[1], "--check"], check=False).returncode
    print(f"skipped: no Python with {PACKAGES} (Debian: python3-sklearn python3-onnx)")
    return SKIPPED


if __name__ == "__main__":
    sys.exit(main())
