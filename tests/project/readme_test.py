#!/usr/bin/env python3
"""Runs the hearth commands that README.md shows, in their order, in an empty folder beside the models.

    tests/project/readme_test.py FOLDER_OF_PROGRAMS
"""

import os
import pathlib
import re
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]


def commands(document):
    """The lines of the document's shell blocks that start with hearth, continued lines joined."""
    for block in re.findall(r"^```sh\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        for line in block.replace("\\\n", " ").splitlines():
            if line.startswith("hearth "):
                yield line


def main():
    programs = pathlib.Path(sys.argv[1]).resolve()
    found = list(commands(ROOT / "README.md"))
    missing = {"compile", "keygen", "encrypt", "run", "decrypt", "infer", "inspect"} - {c.split()[1] for c in found}
    if missing:
        print(f"README.md does not show: {', '.join(sorted(missing))}")
        return 1
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as folder:
        (pathlib.Path(folder) / "models").symlink_to(ROOT / "models")
        for command in found:
            print(f"$ {command}", flush=True)
            result = subprocess.run(command, shell=True, cwd=folder, env=environment, check=False)
            if result.returncode != 0:
                print(f"README.md shows a command that fails with {result.returncode}")
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
