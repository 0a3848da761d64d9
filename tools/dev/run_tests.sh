#!/usr/bin/env bash
# Runs every test of BUILD and prints ctest's summary. A test that was skipped is a failure: one that cannot run on a machine is
# not registered there.
#
# usage: tools/dev/run_tests.sh BUILD [CTEST_ARGS...]
set -euo pipefail

build=${1:?usage: tools/dev/run_tests.sh BUILD [CTEST_ARGS...]}
shift
results=$build/test-results.xml
echo "== testing"
status=0
ctest --test-dir "$build" -j2 --output-on-failure --no-tests=error --output-junit "$(realpath "$build")/test-results.xml" "$@" || status=$?
if grep -q '<skipped' "$results"; then
  echo "run_tests: error: tests were skipped: $(grep -B1 '<skipped' "$results" | sed -nE 's/.*<testcase name="([^"]*)".*/\1/p' | xargs)" >&2
  status=1
fi
exit "$status"
