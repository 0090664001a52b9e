#!/usr/bin/env python3
"""Fails when the server's program holds a symbol that only a client needs. The client's program, when given, must hold
some, which shows that the search finds them.

    tests/project/server_symbols_test.py SERVER_PROGRAM [CLIENT_PROGRAM]
"""

import re
import subprocess
import sys

SECRET = re.compile(r"SecretKey|KeyGenerator|Decrypt|decrypt|ckks::secret|sample_ternary|onnx")


def symbols(program):
    lines = subprocess.run(["nm", "-C", program], capture_output=True, text=True, check=True).stdout.splitlines()
    names = [line[19:] for line in lines]
    if not any("hearth::" in name for name in names):
        sys.exit(f"{program}: no symbol of Hearth; is it stripped? This test needs the symbol table")
    return names


def main():
    server = sys.argv[1]
    found = [name for name in symbols(server) if SECRET.search(name)]
    for name in found[:20]:
        print(f"{server}: {name}")
    if len(sys.argv) > 2 and not any(SECRET.search(name) for name in symbols(sys.argv[2])):
        sys.exit(f"{sys.argv[2]}: a client without any of the symbols looked for; has the code been renamed?")
    print(f"{len(found)} symbols of secrets in the server")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
