// Stands in for a header of the CUDA toolkit that the wheels lack: the words that its other headers put before
// declarations, as a host compiler is to read them. Enough to learn the size of a class.
#ifndef DSOCR_TESTS_FAKE_CUDA_TOOLKIT_CRT_HOST_DEFINES_H_
#define DSOCR_TESTS_FAKE_CUDA_TOOLKIT_CRT_HOST_DEFINES_H_

#define CUDARTAPI
#define CUDARTAPI_CDECL
#define __host__
#define __device__
#define __forceinline__ inline
#define __device_builtin__
#define __device_builtin_texture_type__
#define __device_builtin_surface_type__
#define __cudart_builtin__
#define __align__(n) __attribute__((aligned(n)))
#define __builtin_align__(n) __align__(n)
#define __specialization_static static

#endif  // DSOCR_TESTS_FAKE_CUDA_TOOLKIT_CRT_HOST_DEFINES_H_
