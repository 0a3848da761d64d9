# LibTorch from the PyPI wheel, CPU libraries only: libtorch_cpu and libc10 are linked, libtorch_cuda is loaded at run time.
# (The wheel's own TorchConfig asks for a CUDA toolkit even to link the CPU library.)
#
# Defines dsocr::torch, dsocr::cuda_headers (cupti.h, nvtx3/) and LibTorch_FOUND; sets DSOCR_TORCH_SITE if it was empty.
if(NOT DSOCR_TORCH_SITE)
  file(GLOB _sites ${CMAKE_SOURCE_DIR}/build/libtorch/lib/python3*/site-packages)
  list(GET _sites 0 _site)
  if(_site)
    set(DSOCR_TORCH_SITE ${_site} CACHE PATH "" FORCE)
  endif()
endif()

find_path(LibTorch_INCLUDE_DIR ATen/ATen.h PATHS ${DSOCR_TORCH_SITE}/torch/include NO_DEFAULT_PATH)
find_library(LibTorch_CPU_LIBRARY torch_cpu PATHS ${DSOCR_TORCH_SITE}/torch/lib NO_DEFAULT_PATH)
find_library(LibTorch_C10_LIBRARY c10 PATHS ${DSOCR_TORCH_SITE}/torch/lib NO_DEFAULT_PATH)
find_path(LibTorch_CUDA_INCLUDE_DIR cupti.h PATHS ${DSOCR_TORCH_SITE}/nvidia/cu13/include NO_DEFAULT_PATH)

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS
  LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_INCLUDE_DIR LibTorch_CUDA_INCLUDE_DIR)
mark_as_advanced(LibTorch_INCLUDE_DIR LibTorch_CPU_LIBRARY LibTorch_C10_LIBRARY LibTorch_CUDA_INCLUDE_DIR)

if(LibTorch_FOUND AND NOT TARGET dsocr::torch)
  add_library(dsocr::torch_cpu SHARED IMPORTED)
  set_target_properties(dsocr::torch_cpu PROPERTIES IMPORTED_LOCATION ${LibTorch_CPU_LIBRARY})
  add_library(dsocr::c10 SHARED IMPORTED)
  set_target_properties(dsocr::c10 PROPERTIES IMPORTED_LOCATION ${LibTorch_C10_LIBRARY})

  # Headers alone, for code that looks symbols up at run time (the agent).
  add_library(dsocr::torch_headers INTERFACE IMPORTED)
  target_include_directories(dsocr::torch_headers SYSTEM INTERFACE
    ${LibTorch_INCLUDE_DIR} ${LibTorch_INCLUDE_DIR}/torch/csrc/api/include)
  # The wheel is a release build; without NDEBUG its inline asserts read flags that the library never sets.
  target_compile_definitions(dsocr::torch_headers INTERFACE NDEBUG)

  add_library(dsocr::torch INTERFACE IMPORTED)
  target_link_libraries(dsocr::torch INTERFACE dsocr::torch_headers dsocr::torch_cpu dsocr::c10 Threads::Threads)

  add_library(dsocr::cuda_headers INTERFACE IMPORTED)
  target_include_directories(dsocr::cuda_headers SYSTEM INTERFACE ${LibTorch_CUDA_INCLUDE_DIR})
endif()
