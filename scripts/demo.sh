#!/usr/bin/env bash
# Classifies the bundled images of handwritten digits under encryption. `make demo` calls this after building.
#
#   scripts/demo.sh [BUILD_FOLDER] [OPTIONS of hearth infer, such as --threads 1...]
set -euo pipefail

repository=$(cd "$(dirname "$0")/.." && pwd)
build=$repository/build
if [[ $# -gt 0 && $1 != -* ]]; then
  build=$1
  shift
fi
hearth=$build/bin/hearth
models=$repository/models

if [[ ! -x $hearth ]]; then
  echo "demo.sh: there is no $hearth; run 'make demo', which builds it" >&2
  exit 1
fi

cat <<'TEXT'
Twelve images of handwritten digits and a small neural network (models/README.md).
Each step below runs as a process of its own. The one that evaluates the network gets encrypted images and
evaluation keys; it never sees an image, a result or the secret key.

TEXT
infer() {
  "$hearth" infer "$@" --input "$models/digits_images.npy" --labels "$models/digits_labels.npy" \
    --calibration "$models/digits_calibration.npy"
}
infer "$models/digits.onnx" --count 12 "$@"

cat <<'TEXT'

One of them again, by a residual network with ReLU. Each of its seven ReLU is evaluated inside a bootstrap, which
also makes room for the next layers. Takes about 1.6 GiB of memory, and 0.6 GiB for temporary files.

TEXT
infer "$models/digits_resnet.onnx" --count 1 "$@"
