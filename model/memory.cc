#include "model/memory.h"

#include <malloc.h>

namespace dsocr::model {

void KeepFreedMemory() {
  mallopt(M_MMAP_MAX, 0);         // everything from the heap
  mallopt(M_TRIM_THRESHOLD, -1);  // never: the bias of a 1280 view is 2 GB, over any int
  mallopt(M_TOP_PAD, 64 << 20);   // grow in steps of 64 MiB
}

}  // namespace dsocr::model
