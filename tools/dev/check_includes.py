#!/usr/bin/env python3
"""Holds the table of CONTRIBUTING.md, "Who may include whom". Prints each include that breaks it, as path:line.

usage: tools/dev/check_includes.py [ROOT]
"""

import pathlib
import re
import sys

OURS = ("base", "analytic", "cupti/record", "cupti/agent", "cupti/attribution", "model", "daemon", "client", "proto", "tests",
        "tools")

# Third-party families, by how their headers are spelled. The standard library and libc are free for all.
FAMILIES = {
    "absl": r"absl/",
    "fmt": r"fmt/",
    "grpc": r"grpcp?p?/|grpc/",
    "protobuf": r"google/protobuf/",
    "generated": r"(dsocr/v1|google/rpc)/.*\.pb\.h",
    "torch": r"(torch|ATen|c10|caffe2)/",
    "cuda": r"(cuda|cupti|cuda_runtime|generated_)[a-z_0-9]*\.h",
    "nvtx": r"nvtx3/",
    "json": r"nlohmann/",
    "yaml": r"yaml-cpp/|yaml\.h",
    "sqlite": r"sqlite3\.h",
    "openssl": r"openssl/",
    "cli": r"CLI/",
    "pcre": r"pcre2\.h",
    "boost": r"boost/",
    "re2": r"re2/",
    "codec": r"(png|jpeglib|jerror)\.h",
    "zlib": r"zlib\.h",
}

# folder: (folders of ours it may include besides itself, third-party families it may include)
RULES = {
    "base": ((), ("absl", "fmt")),
    "analytic": (("base",), ("absl", "fmt")),
    "cupti/record": ((), ()),
    "cupti/attribution": (("cupti/record",), ()),
    "cupti/agent": (("cupti/record",), ("cuda", "nvtx")),
    "model": ((), ("torch", "nvtx", "json", "cli", "pcre", "codec", "zlib")),
    "proto": (("base",), ("absl", "fmt", "protobuf", "generated", "json", "yaml")),
    "daemon": (("base", "analytic", "cupti/record", "cupti/attribution", "proto"),
               ("absl", "fmt", "grpc", "protobuf", "generated", "json", "yaml", "sqlite", "openssl", "cli", "re2", "zlib")),
    "client": (("base", "proto"), ("absl", "fmt", "grpc", "protobuf", "generated", "cli", "yaml")),
}

# The one file of the agent that sees ATen: it reads a header and links nothing. The one file that sees Boost.
EXCEPTIONS = {("cupti/agent/torch_ops.cc", "torch"), ("daemon/http/server.cc", "boost")}

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def folder_of(path):
    return next((folder for folder in OURS if path == folder or path.startswith(folder + "/")), None)


def problems(root):
    for folder, (ours, families) in RULES.items():
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in (".h", ".cc"):
                continue
            name = file.relative_to(root).as_posix()
            for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                header = match.group(2)
                target = folder_of(header) if match.group(1) == '"' else None
                if target is not None and target != folder and target not in ours:
                    yield f"{name}:{number}: {folder}/ may not include {header}"
                for family, pattern in FAMILIES.items():
                    if re.match(pattern, header) and family not in families and (name, family) not in EXCEPTIONS:
                        yield f"{name}:{number}: {folder}/ may not include {family} ({header})"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    found = list(problems(root))
    print("\n".join(found) if found else "check_includes: every include is where it may be")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
