// Operators on the meta device that LibTorch leaves to Python.
#ifndef DSOCR_MODEL_TRACE_META_KERNELS_H_
#define DSOCR_MODEL_TRACE_META_KERNELS_H_

namespace dsocr::model {

// Registers, for the life of the process, the meta kernels of those operators of the model whose shapes PyTorch knows
// in Python alone (torch/_meta_registrations.py, 2.11). Without it they throw NotImplementedError. May be called again.
void RegisterMetaKernels();

}  // namespace dsocr::model

#endif  // DSOCR_MODEL_TRACE_META_KERNELS_H_
