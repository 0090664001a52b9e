#!/usr/bin/env python3
"""Runs scripts/train_digits.py --check with a Python that has the packages it needs, Debian's or this one."""

import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "train_digits.py"
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
            return subprocess.run([python, SCRIPT, "--check"], check=False).returncode
    print(f"skipped: no Python with {PACKAGES} (Debian: python3-sklearn python3-onnx)")
    return SKIPPED


if __name__ == "__main__":
    sys.exit(main())
