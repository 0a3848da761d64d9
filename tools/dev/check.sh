#!/usr/bin/env bash
# What a change must pass before it is committed: format, include rules, tidy on the changed files, build with warnings as errors, tests.
#
# usage: tools/dev/check.sh
set -euo pipefail

mapfile -t sources < <(git ls-files '*.cc' '*.h')
mapfile -t changed < <(git diff --name-only --diff-filter=d HEAD -- '*.cc')

echo "== format"
clang-format-14 --dry-run --Werror "${sources[@]}"
echo "== include rules"
tools/dev/check_includes.py
echo "== build"
cmake --preset dev >/dev/null
cmake --build --preset dev -j2
if ((${#changed[@]})); then
  echo "== tidy"
  clang-tidy-14 -p build-dev --quiet "${changed[@]}"
fi
tools/dev/run_tests.sh build-dev
