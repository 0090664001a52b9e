#!/usr/bin/env python3
"""Fails when an #include points up the chain of layers, or brings decryption to where a server could link it.

The order is ARCHITECTURE.md's: base < ring < ckks < compiler/program < runtime < service < cli, with nn and memory
beside ring, compiler on top of nn, and service/client on top of ckks/secret. CMake's link lists say the same, but
headers of a layer that is not linked are still found on the include path, so this test reads the #include lines.

    tests/project/layering_test.py [ROOT]     ROOT: the repository, default the one this file is in
"""

import pathlib
import re
import sys

# Layers that can decrypt.
SECRET = {"ckks/secret", "service/client"}

# What a folder of src/ may include besides itself and the public headers (hearth/...). Longest folder wins.
ALLOWED = {
    "base": set(),
    "ring": {"base"},
    "memory": {"base"},
    "ckks": {"base", "ring"},
    "ckks/secret": {"base", "ring", "ckks"},
    "nn": {"base"},
    "compiler/program": {"base", "ring", "ckks"},
    "compiler": {"base", "ring", "ckks", "compiler/program", "nn"},
    "runtime": {"base", "ring", "memory", "ckks", "compiler/program"},
    "service/image": {"base"},
    "service/wire": {"base", "ring", "ckks", "compiler/program"},
    "service/client": {"base", "ring", "ckks", "ckks/secret", "compiler/program", "service/wire"},
    "service": {"base", "ring", "memory", "ckks", "compiler/program", "runtime", "service/wire"},
    "cli": {"base", "ring", "memory", "ckks", "nn", "compiler/program", "compiler", "runtime", "service",
            "service/image", "service/wire"} | SECRET,
}

# Who may hold a secret key: the files that the client's program is made of, and the developers' program that compares an
# encrypted run with plaintext. Tests, benchmarks and examples may too.
MAY_HOLD_SECRETS = re.compile(r"^(ckks/secret/|service/client/|cli/hearth_client|cli/hearth_verify\.cpp$)")
# What a server is built from, apart from libraries.
SERVER_SOURCES = ["cli/hearth_run.cpp", "service/server.cpp"]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def sources(folder):
    return sorted(p for p in folder.rglob("*") if p.suffix in {".h", ".cpp", ".inc"})


def layer_of(path):
    """The longest known folder that a path below src/ lies in, or None."""
    known = [layer for layer in ALLOWED if path.startswith(layer + "/")]
    return max(known, key=len, default=None)


def includes(path):
    for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
        yield match.group(1), match.group(2)


def check_layers(root):
    src = root / "src"
    for path in sources(src):
        name = path.relative_to(src).as_posix()
        layer = layer_of(name)
        if layer is None:
            yield f"src/{name}: in no known layer; add its folder to {pathlib.Path(__file__).name} and ARCHITECTURE.md"
            continue
        for quote, target in includes(path):
            there = layer_of(target)
            if quote == "<":
                if there or target.startswith("hearth/"):
                    yield f"src/{name}: write #include \"{target}\" with quotes, it is Hearth's own"
            elif target.startswith("hearth/"):
                if not (root / "include" / target).exists():
                    yield f"src/{name}: #include \"{target}\" names no public header"
            elif not (src / target).exists():
                yield f"src/{name}: #include \"{target}\" names no file below src/ (write paths from src/)"
            elif there in SECRET and not MAY_HOLD_SECRETS.match(name):
                yield f"src/{name}: includes {target}, but only clients may hold secrets"
            elif there != layer and there not in ALLOWED[layer]:
                yield f"src/{name}: layer {layer} may not include {target}, which is of layer {there}"


def check_public_headers(root):
    include = root / "include"
    for path in sources(include):
        for quote, target in includes(path):
            if quote == '"' and not (include / target).exists():
                yield f"include/{path.relative_to(include).as_posix()}: public headers may not include \"{target}\""


def check_server(root):
    """Nothing that a server's sources reach through #include may belong to a layer that can decrypt."""
    src = root / "src"
    for name in SERVER_SOURCES:
        seen, todo = set(), [src / name]
        while todo:
            path = todo.pop()
            if path in seen or not path.is_file():  # src/memory is no file, <memory> no header of Hearth
                continue
            seen.add(path)
            if layer_of(path.relative_to(src).as_posix()) in SECRET:
                yield f"src/{name}: reaches {path.relative_to(src)} through its includes"
            todo += [src / target for _, target in includes(path)]


def main():
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[2]
    problems = [*check_layers(root), *check_public_headers(root), *check_server(root)]
    for problem in problems:
        print(problem)
    print(f"{len(sources(root / 'src'))} files checked, {len(problems)} problems")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
