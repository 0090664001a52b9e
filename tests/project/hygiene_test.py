#!/usr/bin/env python3
"""Fails when something is committed that should not be: large files, paths of one machine, layers without tests.

    tests/project/hygiene_test.py
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
MAX_BYTES = 1_000_000
MAX_LINES = 600  # of a source file; the aim is 400, kernels may be longer for a reason
TEXT = {".h", ".cpp", ".inc", ".py", ".sh", ".cmake", ".md", ".txt", ".json"}
# Written in pieces, so that this file passes.
MACHINE_PATHS = re.compile("(?<![A-Za-z0-9_.-])/(" + "|".join(["wo" + "rk", "ho" + "me", "ro" + "ot"]) + ")/")
LEFTOVERS = re.compile(r"\b(" + "|".join(["TO" + "DO", "FIX" + "ME", "X" + "XX"]) + r")\b")
MERGE_MARK = re.compile(r"^(<{7}|>{7}|={7})( |$)", re.MULTILINE)


def git_files():
    """Names of the files that git knows; none in an unpacked archive, or without git."""
    try:
        git = subprocess.run(["git", "-C", ROOT, "ls-files", "-z"], capture_output=True, check=False)
    except OSError:
        return []
    return git.stdout.decode().split("\0") if git.returncode == 0 else []


def tracked_files():
    """Files that git knows; failing that, every file outside build folders."""
    names = git_files()
    if not names:
        found = (p.relative_to(ROOT) for p in ROOT.rglob("*"))
        names = [p.as_posix() for p in found if not re.match(r"build|out$|\.git$", p.parts[0])]
    return sorted(ROOT / n for n in names if n and (ROOT / n).is_file())


def check_file(path):
    name = path.relative_to(ROOT).as_posix()
    if path.stat().st_size > MAX_BYTES:
        yield f"{name}: {path.stat().st_size} bytes, more than {MAX_BYTES}"
    if path.suffix not in TEXT and path.name not in {"Makefile", "run"}:
        return
    text = path.read_text(encoding="utf-8")
    for number, line in enumerate(text.splitlines(), 1):
        if MACHINE_PATHS.search(line):
            yield f"{name}:{number}: a path of one machine: {line.strip()}"
        if LEFTOVERS.search(line):
            yield f"{name}:{number}: unfinished: {line.strip()}"
        if line != line.rstrip() and path.suffix != ".md":
            yield f"{name}:{number}: trailing white space"
    if MERGE_MARK.search(text) and path.suffix != ".md":
        yield f"{name}: a mark of an unfinished merge"
    if path.suffix in {".h", ".cpp"}:
        if text.count("\n") > MAX_LINES:
            yield f"{name}: {text.count(chr(10))} lines, more than {MAX_LINES}"
        if path.suffix == ".h" and "#pragma once" not in text:
            yield f"{name}: no #pragma once"
    if text and not text.endswith("\n"):
        yield f"{name}: no newline at the end"


def check_layers_have_tests(files):
    """Every folder directly below src/ with code has a folder of the same name in tests/ with a test."""
    names = [p.relative_to(ROOT).parts for p in files]
    layers = {n[1] for n in names if len(n) > 2 and n[0] == "src" and n[-1].endswith(".cpp")}
    tested = {n[1] for n in names if len(n) > 2 and n[0] == "tests" and "test" in n[-1]}
    for layer in sorted(layers - tested):
        yield f"src/{layer}: no test in tests/{layer}"


def main():
    files = tracked_files()
    problems = [problem for path in files for problem in check_file(path)]
    problems += check_layers_have_tests(files)
    for problem in problems:
        print(problem)
    print(f"{len(files)} files checked, {len(problems)} problems")
    return 1 if problems or not files else 0


if __name__ == "__main__":
    sys.exit(main())
