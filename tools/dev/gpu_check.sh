#!/usr/bin/env bash
# What this repository claims of a GPU, measured on one, in eight minutes: prints a table, and leaves results.json and a few archives
# of recordings. docs/operations.md, "On a GPU", says what each step is.
#
# Needs a Python with torch 2.11; the programs of `make bundle`, or cmake and a compiler; no network.
#
# usage: tools/dev/gpu_check.sh [--python PYTHON] [--device cuda:0|cpu] [--out DIR] [--programs DIR] [--only STEP,...] [--budget SECONDS]
set -euo pipefail

candidates=("${VIRTUAL_ENV:+$VIRTUAL_ENV/bin/python3}" python3)
if [[ ${1:-} == --python ]]; then
  candidates=("${2:?usage: tools/dev/gpu_check.sh --python PYTHON}")
  shift 2
fi
for python in "${candidates[@]}"; do
  if [[ -n $python ]] && "$python" -c 'import importlib.util, sys; sys.exit(importlib.util.find_spec("torch") is None)' 2>/dev/null; then
    PYTHONDONTWRITEBYTECODE=1 exec "$python" "$(dirname "$0")/gpu_check" "$@"
  fi
done
echo "gpu_check: error: no torch in ${candidates[*]}; name a Python that has it: --python PYTHON, before other flags" >&2
exit 2
