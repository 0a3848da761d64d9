#!/usr/bin/env bash
# Makes BUILD/venv, the Python of third-party jobs that tests profile: torch, torchvision and transformers as published.
#
# usage: tools/dev/venv.sh BUILD
set -euo pipefail

build=${1:?usage: tools/dev/venv.sh BUILD}
wheels=(torch==2.11.0 torchvision==0.26.0 transformers==5.23.0)
stamp=$build/venv/.complete
if [[ -f $stamp && $(<"$stamp") == "${wheels[*]}" ]]; then
  exit 0
fi
echo "== installing ${wheels[*]} into $build/venv"
rm -rf "$build/venv"
python3 -m venv "$build/venv"
"$build/venv/bin/pip" install --quiet --disable-pip-version-check "${wheels[@]}"
echo "${wheels[*]}" >"$stamp"
