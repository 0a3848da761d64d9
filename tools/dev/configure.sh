#!/usr/bin/env bash
# Configures BUILD as a release, once, and again when BUILD/venv has changed, which brings tests with it; when a CMake file changes,
# ninja configures by itself.
#
# usage: tools/dev/configure.sh BUILD
set -euo pipefail

build=${1:?usage: tools/dev/configure.sh BUILD}
if [[ -f $build/build.ninja && ! $build/venv/.complete -nt $build/build.ninja ]]; then
  exit 0
fi
echo "== configuring $build"
launcher=()
command -v ccache >/dev/null && launcher=("-DCMAKE_CXX_COMPILER_LAUNCHER=env;CCACHE_SLOPPINESS=pch_defines,time_macros;ccache")
# A unity build takes half the time from nothing; the presets, in which one file is changed at a time, have none.
cmake -S . -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DCMAKE_UNITY_BUILD=ON "${launcher[@]}"
