#!/usr/bin/env bash
# Installs what the build needs on Debian 12: system packages, and LibTorch from its PyPI wheel into BUILD/libtorch.
# Safe to run again: does nothing that is already done.
#
# usage: tools/dev/setup.sh BUILD
set -euo pipefail

build=${1:?usage: tools/dev/setup.sh BUILD}

packages=(
  build-essential cmake ninja-build pkg-config ccache git patchelf ca-certificates python3 python3-venv python3-dev python3-yaml
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc libabsl-dev libfmt-dev
  libsqlite3-dev nlohmann-json3-dev libyaml-cpp-dev libyaml-dev libcli11-dev libssl-dev libboost-dev libre2-dev
  libpcre2-dev libpng-dev libjpeg62-turbo-dev zlib1g-dev
  libgtest-dev libgmock-dev libbenchmark-dev
)
# The CPU part of LibTorch: the torch wheel, the two NVIDIA libraries that it is linked to, and headers.
wheels=(torch==2.11.0 nvidia-cuda-cupti==13.0.85 nvidia-cuda-runtime==13.0.96 nvidia-cuda-crt==13.0.88 nvidia-nvtx==13.0.85)

missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
if ((${#missing[@]})); then
  sudo=()
  if ((EUID != 0)); then
    command -v sudo >/dev/null || { echo "setup: error: missing packages: ${missing[*]}; become root or install sudo" >&2; exit 1; }
    sudo=(sudo)
  fi
  echo "== installing ${#missing[@]} system packages: ${missing[*]}"
  "${sudo[@]}" apt-get update -qq
  "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

# With an NVIDIA driver the whole CUDA set comes along; without one the CPU library alone is 1.3 GB instead of 4.7.
flavor=cpu
[[ -e /proc/driver/nvidia/version ]] && flavor=cuda
stamp=$build/libtorch/.complete
want="$flavor ${wheels[*]}"
if [[ ! -f $stamp || $(<"$stamp") != "$want" ]]; then
  echo "== installing LibTorch ($flavor) into $build/libtorch"
  rm -rf "$build/libtorch"
  mkdir -p "$build"
  python3 -m venv "$build/libtorch"
  options=(--no-deps)
  [[ $flavor == cuda ]] && options=()
  if "$build/libtorch/bin/pip" install --quiet --disable-pip-version-check "${options[@]}" "${wheels[@]}"; then
    echo "$want" >"$stamp"
  else
    rm -rf "$build/libtorch"
    echo "setup: LibTorch could not be installed; going on without dsocr-runner and the agent's CPU source" >&2
  fi
fi
