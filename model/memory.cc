#include "model/memory.h"

#include <malloc.h>

#include <climits>

namespace dsocr::model {

void KeepFreedMemory() {
  mallopt(M_MMAP_MAX, 0);  // everything from the heap
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
  mallopt(M_TOP_PAD, 64 << 20);  // grow in steps of 64 MiB
}

}  // namespace dsocr::model
