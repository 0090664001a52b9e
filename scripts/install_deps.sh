#!/usr/bin/env bash
# Installs the Debian 12 packages that Hearth is built from. Instant, and without root, when all are there.
#
#   scripts/install_deps.sh          to build, test and run
#   scripts/install_deps.sh clang    the same, and clang for `make test-clang`, `make tidy` and `make format`
#   scripts/install_deps.sh fuzz     the same, and clang with libFuzzer for `make fuzz`
set -euo pipefail

packages=(
  g++ cmake ninja-build make pkg-config python3 binutils
  libonnx-dev libprotobuf-dev          # ONNX import
  libcli11-dev nlohmann-json3-dev libfmt-dev
  libtbb-dev libssl-dev libxxhash-dev  # threads, randomness, checksums
  liburing-dev libnuma-dev             # storage below DRAM
  libpng-dev libjpeg-dev               # photographs as inputs
  libgtest-dev librapidcheck-dev libgmp-dev valgrind
)
case "${1:-}" in
  "") ;;
  clang) packages+=(clang clang-tidy clang-format) ;;
  fuzz) packages+=(clang libclang-rt-14-dev) ;;
  *)
    echo "usage: $0 [clang|fuzz]" >&2
    exit 2
    ;;
esac

if ! command -v dpkg-query >/dev/null; then
  echo "install_deps.sh: not a Debian system, nothing installed; CMake will name what is missing." >&2
  echo "The Debian 12 names are: ${packages[*]}" >&2
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  status=$(dpkg-query -W -f='${db:Status-Status} ' "$package" 2>/dev/null || true)
  [[ " $status" == *" installed "* ]] || missing+=("$package")
done
[[ ${#missing[@]} -gt 0 ]] || exit 0

echo "Installing: ${missing[*]}"
as_root=()
if [[ $(id -u) -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "install_deps.sh: neither root nor sudo. Ask an administrator to run:" >&2
    echo "  apt-get install ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
