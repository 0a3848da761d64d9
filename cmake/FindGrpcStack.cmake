# Everything that dsocrd and dsocrctl link: Protobuf, gRPC, SQLite, nlohmann_json, yaml-cpp, CLI11, Boost. One question, one answer:
# GrpcStack_FOUND, so that analytic/ and cupti/ build on machines that have none of them.
find_package(Protobuf QUIET)
find_package(gRPC CONFIG QUIET)
find_package(SQLite3 QUIET)
find_package(nlohmann_json CONFIG QUIET)
find_package(yaml-cpp CONFIG QUIET)
find_package(CLI11 CONFIG QUIET)
find_package(Boost 1.74 CONFIG QUIET)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(GrpcStack REQUIRED_VARS
  Protobuf_FOUND gRPC_FOUND SQLite3_FOUND nlohmann_json_FOUND yaml-cpp_FOUND CLI11_FOUND Boost_FOUND)
