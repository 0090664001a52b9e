#!/usr/bin/env python3
"""Proves that layering_test.py can fail: plants a violation of each kind in a made-up tree and expects it reported."""

import pathlib
import subprocess
import sys
import tempfile

CASES = {
    "upward": ("base/a.cpp", '#include "ring/b.h"', "may not include ring/b.h"),
    "sideways": ("nn/a.cpp", '#include "ckks/c.h"', "may not include ckks/c.h"),
    "runtime to compiler": ("runtime/a.cpp", '#include "compiler/d.h"', "may not include compiler/d.h"),
    "secret in ckks": ("ckks/a.cpp", '#include "ckks/secret/s.h"', "only clients may hold secrets"),
    "secret in runtime": ("runtime/a.cpp", '#  include "ckks/secret/s.h"', "only clients may hold secrets"),
    "secret in a shared header": ("cli/common.h", '#include "ckks/secret/s.h"', "only clients may hold secrets"),
    "secret beside verify": ("cli/hearth_verify_more.cpp", '#include "ckks/secret/s.h"', "only clients may hold secrets"),
    "secret in a server": ("cli/hearth_run.cpp", '#include "service/client/k.h"', "only clients may hold secrets"),
    "image above wire": ("service/image/a.cpp", '#include "service/wire/w.h"', "may not include service/wire/w.h"),
    "server in client": ("service/client/a.cpp", '#include "runtime/r.h"', "may not include runtime/r.h"),
    "client in server": ("service/server.cpp", '#include "service/client/k.h"', "reaches service/client/k.h"),
    "angle brackets": ("ring/a.cpp", '#include <base/e.h>', "with quotes"),
    "unknown layer": ("other/a.cpp", "", "in no known layer"),
    "missing": ("ring/a.cpp", '#include "b.h"', "names no file below src/"),
}
HEADERS = ["base/e.h", "ring/b.h", "ckks/c.h", "ckks/secret/s.h", "compiler/d.h", "runtime/r.h", "service/client/k.h",
           "service/wire/w.h"]
ALLOWED = {
    "ring/ok.cpp": '#include "base/e.h"\n#include <vector>\n',
    "ckks/secret/ok.cpp": '#include "ckks/secret/s.h"\n',
    "cli/hearth_client.cpp": '#include "service/client/k.h"\n',
    "cli/hearth_verify.cpp": '#include "service/client/k.h"\n#include "runtime/r.h"\n',
}


def report(extra):
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**{h: "" for h in HEADERS}, **ALLOWED, **extra}.items():
            path = root / "src" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        test = pathlib.Path(__file__).with_name("layering_test.py")
        return subprocess.run([sys.executable, test, root], capture_output=True, text=True, check=False)


def main():
    failures = []
    clean = report({})
    if clean.returncode != 0:
        failures.append(f"a clean tree: {clean.stdout}")
    for name, (path, line, expected) in CASES.items():
        result = report({path: line + "\n"})
        if result.returncode != 1 or expected not in result.stdout or path not in result.stdout:
            failures.append(f"{name}: expected '{expected}', got {result.returncode}: {result.stdout}{result.stderr}")
    print("\n".join(failures) or f"{len(CASES)} violations reported")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
