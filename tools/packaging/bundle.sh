#!/usr/bin/env bash
# Gathers the programs of BUILD with the shared libraries that they need into FOLDER, which runs from anywhere on any distribution
# whose glibc is new enough. LibTorch stays outside: it has 1.3 GB, and machines that have it have their own.
#
#   bin/       dsocrd, dsocrctl, dsocr-runner (which finds LibTorch, then becomes libexec/dsocr-runner), libdsocr_agent.so
#   libexec/   that, and the reader of traces that tools/dev/gpu_check.sh wants
#   lib/       every library of theirs but glibc, which belongs to the machine, and LibTorch
#   share/     what the programs read, and the licences
#
# usage: tools/packaging/bundle.sh BUILD [FOLDER]     FOLDER (default: BUILD/bundle) is made anew
set -euo pipefail

build=${1:?usage: tools/packaging/bundle.sh BUILD [FOLDER]}
folder=${2:-$build/bundle}
source=$(dirname "$0")/../..

# The libraries that a program loads, as "soname path", without those of glibc and LibTorch.
libraries_of() {
  ldd "$1" | awk '$2 == "=>" && $3 ~ "^/" { print $1, $3 }' |
    grep -vE '^lib(c|m|dl|pthread|rt|util|resolv|nsl|anl|nss_[a-z]+)\.so\.[0-9]+ ' |
    grep -vE '^lib(torch|torch_cpu|c10|gomp|cupti|cudart)[.-]' || true
}

echo "== bundling $build/bin into $folder"
rm -rf "$folder.new"
mkdir -p "$folder.new"/{bin,libexec,lib,share/doc/dsocr}
cp "$build"/bin/{dsocrd,dsocrctl,libdsocr_agent.so} "$folder.new/bin/"
cp "$source/tools/packaging/dsocr-runner.sh" "$folder.new/bin/dsocr-runner"
cp "$build/bin/dsocr-runner" "$build/tests/trace_operations" "$folder.new/libexec/"
cp -r "$build/share/dsocr" "$folder.new/share/"
cp "$source/LICENSE" "$folder.new/share/doc/dsocr/"

programs=("$folder.new"/bin/{dsocrd,dsocrctl} "$folder.new"/libexec/*)
mapfile -t libraries < <(for program in "${programs[@]}"; do libraries_of "$program"; done | sort -u)
patterns=()
for library in "${libraries[@]}"; do
  read -r soname path <<<"$library"
  cp -L "$path" "$folder.new/lib/$soname"
  patterns+=("*/$(basename "$(realpath "$path")")")
done
# Whoever passes a library on passes its licence on.
while read -r package; do
  mkdir -p "$folder.new/share/doc/$package"
  cp -L "/usr/share/doc/$package/copyright" "$folder.new/share/doc/$package/"
done < <(dpkg-query -S "${patterns[@]}" | sed -E 's/[:,].*//' | sort -u)

chmod -R u+w "$folder.new"
strip "$folder.new"/lib/* "${programs[@]}"
strip --strip-unneeded "$folder.new/bin/libdsocr_agent.so"  # needs libc alone: no path to search
patchelf --set-rpath '$ORIGIN' "$folder.new"/lib/*
patchelf --set-rpath '$ORIGIN/../lib' "${programs[@]}"

rm -rf "$folder"
mv "$folder.new" "$folder"
glibc=$(objdump -T "$folder"/{lib,libexec}/* "$folder"/bin/{dsocrd,dsocrctl,libdsocr_agent.so} |
  grep -oE 'GLIBC_2\.[0-9]+' | sort -uV | tail -1)
echo "bundle: $(du -sm --apparent-size "$folder" | cut -f1) MiB, ${#libraries[@]} libraries, needs glibc ${glibc#GLIBC_} or newer"
