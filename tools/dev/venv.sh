#!/usr/bin/env bash
# Makes BUILD/venv, the Python of the tests: torch, torchvision and transformers as published, for third-party jobs to profile, and
# schemathesis, which holds the HTTP endpoints to their OpenAPI document.
#
# usage: tools/dev/venv.sh BUILD
set -euo pipefail

build=${1:?usage: tools/dev/venv.sh BUILD}
wheels=(torch==2.11.0 torchvision==0.26.0 transformers==5.23.0 schemathesis==4.32.5)
stamp=$build/venv/.complete
if [[ -f $stamp && $(<"$stamp") == "${wheels[*]}" ]]; then
  exit 0
fi
echo "== installing ${wheels[*]} into $build/venv"
[[ -f $stamp ]] || rm -rf "$build/venv"  # what was complete is brought up to date, what was interrupted is made anew
python3 -m venv "$build/venv"
rm -f "$stamp"
"$build/venv/bin/pip" install --quiet --disable-pip-version-check "${wheels[@]}"
echo "${wheels[*]}" >"$stamp"
