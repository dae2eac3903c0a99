# SPDX-License-Identifier: Apache-2.0
# Sourced by the scripts beside it: the repository root, the compiler cache, and builds of a preset.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
root=$PWD

# Objects are found again from another clone of the same sources.
export CCACHE_BASEDIR=${CCACHE_BASEDIR:-$root} CCACHE_NOHASHDIR=${CCACHE_NOHASHDIR:-1}

# build <preset> [target...]: configures and builds a preset.
build() {
  local preset=$1
  shift
  cmake --preset "$preset" --log-level=NOTICE || return
  cmake --build --preset "$preset" ${1:+--target "$@"}
}

# The C++ sources of the repository, tracked or about to be.
cxx_sources() {
  git ls-files --cached --others --exclude-standard -- '*.h' '*.cc' '*.cu' '*.cuh'
}
