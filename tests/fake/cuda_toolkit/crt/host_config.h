// Stands in for a header of the CUDA toolkit that the wheels lack: it checks the compiler's version.
