#!/usr/bin/env bash
# Runs every libFuzzer target of a build folder for FUZZ_SECONDS each, starting from tests/corpus/<name>/.
# What a run finds is kept in <build>/fuzz/<name>/, so the next run starts further on; a failing input stays in
# <build>/fuzz/crashes/ and makes this script fail.
#
#   scripts/fuzz.sh BUILD_FOLDER [NAME...]      NAME as in tests/fuzz/fuzz_<name>.cpp
set -euo pipefail

build=$1
shift
seconds=${FUZZ_SECONDS:-60}
repository=$(cd "$(dirname "$0")/.." && pwd)
crashes=$build/fuzz/crashes
mkdir -p "$crashes"

targets=()
for target in "$build"/bin/fuzz_*; do
  name=${target##*/fuzz_}
  [[ -x $target && ($# -eq 0 || " $* " == *" $name "*) ]] && targets+=("$target")
done
if [[ ${#targets[@]} -eq 0 ]]; then
  echo "fuzz.sh: no fuzz target in $build/bin; configure with -DHEARTH_BUILD_FUZZ=ON and clang" >&2
  exit 1
fi

failed=()
for target in "${targets[@]}"; do
  name=${target##*/fuzz_}
  found=$build/fuzz/$name
  mkdir -p "$found"
  folders=("$found")
  [[ -d $repository/tests/corpus/$name ]] && folders+=("$repository/tests/corpus/$name")
  echo "== $name: $seconds s"
  if ! "$target" -max_total_time="$seconds" -timeout=25 -rss_limit_mb=4096 -max_len="${FUZZ_MAX_LEN:-65536}" \
    -print_final_stats=1 -artifact_prefix="$crashes/$name-" "${folders[@]}" >"$build/fuzz/$name.log" 2>&1; then
    failed+=("$name")
    tail -n 40 "$build/fuzz/$name.log"
  fi
  grep -hE '^stat::number_of_executed_units|^#.*DONE' "$build/fuzz/$name.log" || true
done

if [[ ${#failed[@]} -gt 0 ]]; then
  echo "fuzz.sh: failed: ${failed[*]}; inputs in $crashes" >&2
  exit 1
fi
echo "No failures in ${#targets[@]} targets."
