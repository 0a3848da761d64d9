// A stand-in for libcupti.so.13: the ABI of the real one (soname, version node, record layouts), and a GPU that does
// what the test says.
//
// A program asks for device work through fake_cupti_launch and fake_cupti_copy, found with dlsym; records go to whoever
// registered for them. Written from the headers of CUPTI 13.0.85; when real CUPTI delivers, and in which order, is an
// assumption.
//
// FAKE_CUPTI_REFUSE_KIND=N in the environment: enabling activity kind N fails, and fake_cupti_enabled_kinds tells what
// was left on.
#ifndef DSOCR_TESTS_FAKE_FAKE_CUPTI_H_
#define DSOCR_TESTS_FAKE_FAKE_CUPTI_H_

#include <cstdint>

extern "C" {
// A kernel of `duration_ns` on `stream`, launched now by this thread and run after all work asked for before.
void fake_cupti_launch(const char* name, uint64_t duration_ns, uint32_t stream);
void fake_cupti_copy(uint64_t bytes, uint64_t duration_ns, uint32_t stream);
int fake_cupti_enabled_kinds();
}

#endif  // DSOCR_TESTS_FAKE_FAKE_CUPTI_H_
