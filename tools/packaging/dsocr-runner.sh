#!/bin/sh
# dsocr-runner of a bundle: finds LibTorch, which no bundle carries, and says so where there is none.
#
# DSOCR_LIBTORCH, a folder with libtorch_cpu.so, or one with torch/lib in it (a site-packages), comes before LD_LIBRARY_PATH.
program=$(dirname "$(readlink -f "$0")")/../libexec/dsocr-runner
if [ -n "$DSOCR_LIBTORCH" ]; then
  [ -d "$DSOCR_LIBTORCH/torch/lib" ] && DSOCR_LIBTORCH=$DSOCR_LIBTORCH/torch/lib
  export LD_LIBRARY_PATH="$DSOCR_LIBTORCH${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
# The loader lists what it would load, as ldd does, and runs nothing.
missing=$(LD_TRACE_LOADED_OBJECTS=1 LD_PRELOAD= "$program" |
  sed -n 's/^[[:space:]]*\([^ ]*\) => not found$/\1/p' | sort -u | tr '\n' ' ')
if [ -n "$missing" ]; then
  echo "dsocr-runner: error: LibTorch: not found: ${missing% };" \
    "install torch 2.11.0 from PyPI and set DSOCR_LIBTORCH to its site-packages" >&2
  exit 1
fi
exec "$program" "$@"
