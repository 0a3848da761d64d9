# What dsocr-runner links besides LibTorch. One answer, RunnerStack_FOUND, so that the agent builds where it is missing.
find_package(nlohmann_json CONFIG QUIET)
find_package(CLI11 CONFIG QUIET)
find_package(PNG QUIET)
find_package(JPEG QUIET)
find_path(PCRE2_INCLUDE_DIR pcre2.h)
find_library(PCRE2_LIBRARY pcre2-8)
mark_as_advanced(PCRE2_INCLUDE_DIR PCRE2_LIBRARY)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(RunnerStack REQUIRED_VARS
  nlohmann_json_FOUND CLI11_FOUND PNG_FOUND JPEG_FOUND PCRE2_INCLUDE_DIR PCRE2_LIBRARY)
