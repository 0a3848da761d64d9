// The allocator of a process that makes and frees the same large tensors over and over.
#ifndef DSOCR_MODEL_MEMORY_H_
#define DSOCR_MODEL_MEMORY_H_

namespace dsocr::model {

// Keeps freed memory in the process. By default glibc maps every large tensor anew and gives it back when it dies: page
// faults in each use and an unmapping outside any operator, 96 ms for the 805 MB bias of a global attention block (2
// cores, 2026-11-21). The peak stays what it was. Call once, before the first tensor.
void KeepFreedMemory();

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_MEMORY_H_
