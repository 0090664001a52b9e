#!/usr/bin/env python3
"""Fails when a program that must not decrypt holds a symbol that decryption needs, or the server's one of the ONNX side.
The programs that hold a secret key must have such symbols, which shows that the search finds them.

    tests/project/server_symbols_test.py SERVER_PROGRAM [--holders PROGRAM...] [--others PROGRAM...]

holders: programs that use a secret key (the client, and the developers' hearth-verify). others: neither servers nor
holders.
"""

import argparse
import re
import subprocess
import sys

SECRET = re.compile(r"SecretKey|KeyGenerator|Decrypt|decrypt|ckks::secret|sample_ternary")
NOT_IN_SERVER = re.compile(SECRET.pattern + "|onnx")


def symbols(program):
    lines = subprocess.run(["nm", "-C", program], capture_output=True, text=True, check=True).stdout.splitlines()
    names = [line[19:] for line in lines]
    if not any("hearth::" in name for name in names):
        sys.exit(f"{program}: no symbol of Hearth; is it stripped? This test needs the symbol table")
    return names


def found(program, pattern):
    names = [name for name in symbols(program) if pattern.search(name)]
    for name in names[:20]:
        print(f"{program}: {name}")
    return len(names)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("server")
    parser.add_argument("--holders", nargs="*", default=[])
    parser.add_argument("--others", nargs="*", default=[])
    options = parser.parse_args()
    for holder in options.holders:
        if not any(SECRET.search(name) for name in symbols(holder)):
            sys.exit(f"{holder}: holds none of the symbols looked for; has the code been renamed?")
    wrong = found(options.server, NOT_IN_SERVER) + sum(found(other, SECRET) for other in options.others)
    print(f"{wrong} symbols where they must not be")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
