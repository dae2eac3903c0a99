#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Makes every golden of the pi0.5 tests, and those of nn. README.md says how to set up the two Python environments.
# usage: make_all.sh GOLDEN_DIR LEROBOT_PYTHON OPENPI_PYTHON OPENPI_CHECKOUT
set -euo pipefail
out=$1 lerobot_python=$2 openpi_python=$3 openpi=$4
here=$(cd "$(dirname "$0")" && pwd)
export HF_HUB_OFFLINE=1 JAX_PLATFORMS=cpu CUDA_VISIBLE_DEVICES= PYTHONDONTWRITEBYTECODE=1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
"$lerobot_python" "$here/make_tokenizer.py" "$scratch/tokenizer.model"

rm -rf "$out/lerobot_tiny" "$out/openpi_tiny"
"$lerobot_python" "$here/lerobot_golden.py" "$out/lerobot_tiny" "$scratch/tokenizer.model"
PYTHONPATH="$openpi/src:$openpi/packages/openpi-client/src" \
  "$openpi_python" "$here/openpi_golden.py" "$out/openpi_tiny" "$scratch/tokenizer.model"
PYTHONPATH="$openpi/packages/openpi-client/src" "$lerobot_python" "$here/resize_golden.py" "$out"
"$lerobot_python" "$here/check.py" "$out"
"$lerobot_python" "$here/nn_golden.py" "$here/../../flashrt/nn/golden"
