# dsocr_library(NAME SOURCES... [APART...] [DEPS...] [PRIVATE_DEPS...] [PRECOMPILED name])
#                                                     a static library of ours, included as "dir/header.h"; a unity build
#                                                     compiles its sources some at a time, those of APART (which call the
#                                                     like things by like names) each alone
# dsocr_executable(NAME SOURCES... DEPS...)           a program that lands in build/bin
# dsocr_test(NAME SOURCES... DEPS... [LABELS unit])   a GoogleTest program, each TEST a ctest of its own; all of a directory
#                                                     use the precompiled headers that DSOCR_TEST_HEADERS names, and
#                                                     a unity build compiles its sources some at a time
# dsocr_precompiled(NAME HEADERS... DEPS... [TESTS])  large headers of others, parsed once for all libraries, or all tests,
#                                                     that name it
#
# Every target of ours is declared through these, so that warnings and sanitizers are the same everywhere.
add_library(dsocr_options INTERFACE)
target_include_directories(dsocr_options INTERFACE ${CMAKE_SOURCE_DIR})
target_compile_options(dsocr_options INTERFACE -Wall -Wextra -Wpedantic -Wno-missing-field-initializers
  $<$<BOOL:${DSOCR_WARNINGS_AS_ERRORS}>:-Werror>
  # g++ takes what a unity build includes for headers.
  $<$<BOOL:${CMAKE_UNITY_BUILD}>:-Wno-subobject-linkage>)
# What ccache needs to see through a precompiled header.
set(_pch_options -Winvalid-pch $<$<CXX_COMPILER_ID:GNU>:-fpch-preprocess>)
# -O1 takes a third less to compile than -O3; what is tested keeps its own. At -O1 GCC 12 warns of std::string's own code (PR 105651).
set(_test_options -pthread $<$<CONFIG:Release>:-O1>
  "$<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds;-Wno-restrict;-Wno-stringop-overflow>")
if(DSOCR_SANITIZE)
  # The vptr check wants type information of LibTorch's classes, which the agent does not link.
  target_compile_options(dsocr_options INTERFACE -fsanitize=${DSOCR_SANITIZE} -fno-sanitize=vptr -fno-omit-frame-pointer)
  target_link_options(dsocr_options INTERFACE -fsanitize=${DSOCR_SANITIZE})
endif()

function(dsocr_library NAME)
  cmake_parse_arguments(ARG "" "PRECOMPILED" "SOURCES;APART;DEPS;PRIVATE_DEPS" ${ARGN})
  add_library(${NAME} STATIC ${ARG_SOURCES} ${ARG_APART})
  set_source_files_properties(${ARG_APART} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
  target_link_libraries(${NAME} PUBLIC dsocr_options ${ARG_DEPS} PRIVATE ${ARG_PRIVATE_DEPS})
  if(ARG_PRECOMPILED)
    target_precompile_headers(${NAME} REUSE_FROM ${ARG_PRECOMPILED})
    target_compile_options(${NAME} PRIVATE ${_pch_options})
  endif()
endfunction()

function(dsocr_precompiled NAME)
  cmake_parse_arguments(ARG "TESTS" "" "HEADERS;DEPS" ${ARGN})
  file(CONFIGURE OUTPUT ${NAME}.cc CONTENT "")
  add_library(${NAME} OBJECT ${CMAKE_CURRENT_BINARY_DIR}/${NAME}.cc)
  target_link_libraries(${NAME} PRIVATE dsocr_options ${ARG_DEPS})
  target_precompile_headers(${NAME} PRIVATE ${ARG_HEADERS})
  target_compile_options(${NAME} PRIVATE ${_pch_options})
  if(ARG_TESTS)
    # As programs are compiled, which libraries are not: g++ wants the same flags.
    set_target_properties(${NAME} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${NAME} PRIVATE -fPIE ${_test_options})
  endif()
endfunction()

function(dsocr_executable NAME)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS" ${ARGN})
  add_executable(${NAME} ${ARG_SOURCES})
  target_link_libraries(${NAME} PRIVATE dsocr_options ${ARG_DEPS})
endfunction()

function(dsocr_test NAME)
  cmake_parse_arguments(ARG "" "TIMEOUT" "SOURCES;DEPS;LABELS" ${ARGN})
  if(NOT ARG_LABELS)
    set(ARG_LABELS unit)
  endif()
  if(NOT ARG_TIMEOUT)
    set(ARG_TIMEOUT 300)  # for tests that hang: a slow machine that does other things is no failure
  endif()
  add_executable(${NAME} ${ARG_SOURCES})
  set_target_properties(${NAME} PROPERTIES RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR}/tests)
  target_link_libraries(${NAME} PRIVATE dsocr_options ${ARG_DEPS} GTest::gmock GTest::gtest_main)
  target_precompile_headers(${NAME} REUSE_FROM ${DSOCR_TEST_HEADERS})
  target_compile_options(${NAME} PRIVATE ${_test_options} ${_pch_options})
  target_compile_definitions(${NAME} PRIVATE
    DSOCR_SOURCE_DIR="${CMAKE_SOURCE_DIR}" DSOCR_BIN_DIR="${CMAKE_BINARY_DIR}/bin" DSOCR_SHARED_DIR="${DSOCR_SHARED_DIR}")
  gtest_discover_tests(${NAME} TEST_PREFIX "${NAME}." DISCOVERY_TIMEOUT 300
    PROPERTIES LABELS "${ARG_LABELS}" TIMEOUT ${ARG_TIMEOUT})
endfunction()
