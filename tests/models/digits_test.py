#!/usr/bin/env python3
"""Runs scripts/train_digits.py --check where the packages that it needs are installed."""

import importlib.util
import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).resolve().parents[2] / "scripts" / "train_digits.py"
SKIPPED = 77


def main():
    missing = [name for name in ("numpy", "onnx", "sklearn") if importlib.util.find_spec(name) is None]
    if missing:
        print(f"skipped: no {', '.join(missing)} in {sys.executable}")
        return SKIPPED
    return subprocess.run([sys.executable, SCRIPT, "--check"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
