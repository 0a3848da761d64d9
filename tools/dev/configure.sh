#!/usr/bin/env bash
# Configures BUILD as a release, once: ninja configures again by itself when a CMake file changes.
#
# usage: tools/dev/configure.sh BUILD
set -euo pipefail

build=${1:?usage: tools/dev/configure.sh BUILD}
if [[ -f $build/build.ninja ]]; then
  exit 0
fi
echo "== configuring $build"
launcher=()
command -v ccache >/dev/null && launcher=("-DCMAKE_CXX_COMPILER_LAUNCHER=env;CCACHE_SLOPPINESS=pch_defines,time_macros;ccache")
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release "${launcher[@]}"
