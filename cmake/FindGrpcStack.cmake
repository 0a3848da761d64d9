# Everything that dsocrd and dsocrctl link besides Abseil and fmt: Protobuf, gRPC, SQLite, nlohmann_json, yaml-cpp, CLI11, Boost. One question, one answer:
# GrpcStack_FOUND, so that analytic/ and cupti/ build on machines that have none of them. libyaml reads documents, hostile ones
# too, and comes without a CMake package; yaml-cpp reads the configuration.
find_package(Protobuf QUIET)
find_package(gRPC CONFIG QUIET)
find_package(SQLite3 QUIET)
find_package(nlohmann_json CONFIG QUIET)
find_package(yaml-cpp CONFIG QUIET)
find_package(CLI11 CONFIG QUIET)
find_path(LIBYAML_INCLUDE_DIR yaml.h)
find_library(LIBYAML_LIBRARY yaml)
mark_as_advanced(LIBYAML_INCLUDE_DIR LIBYAML_LIBRARY)
find_package(Boost 1.74 CONFIG QUIET)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(GrpcStack REQUIRED_VARS
  absl_FOUND fmt_FOUND Protobuf_FOUND gRPC_FOUND SQLite3_FOUND nlohmann_json_FOUND yaml-cpp_FOUND CLI11_FOUND Boost_FOUND
  LIBYAML_INCLUDE_DIR LIBYAML_LIBRARY)

if(GrpcStack_FOUND AND NOT TARGET dsocr::libyaml)
  add_library(dsocr::libyaml UNKNOWN IMPORTED GLOBAL)
  set_target_properties(dsocr::libyaml PROPERTIES
    IMPORTED_LOCATION ${LIBYAML_LIBRARY} INTERFACE_INCLUDE_DIRECTORIES ${LIBYAML_INCLUDE_DIR})
endif()
