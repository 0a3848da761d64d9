// Operations on a GPU: CUPTI activity records of the process, as kernel, copy and set records with the range that
// launched them.
//
// The functions come from the libcupti that the process already has (libtorch_cpu links one), else from libcupti.so.13
// or .12 by name. An error while enabling undoes what was enabled; the process goes on without GPU records.
//
// No subscription is taken: activity records need none, and torch 2.11's own profiler may hold the only one.
//
// Threads: one caller at a time; buffers are completed on a thread of CUPTI's.
#ifndef DSOCR_CUPTI_AGENT_CUPTI_SOURCE_H_
#define DSOCR_CUPTI_AGENT_CUPTI_SOURCE_H_

#include "cupti/agent/recorder.h"

namespace dsocr::agent {

// False: no libcupti, or it refused. `recorder` must live for ever.
bool StartCupti(Recorder* recorder) noexcept;

// What tells CUPTI of a recorded range; null where CUPTI is not on.
const RangeListener* CuptiListener() noexcept;

// Disables the kinds of record, or enables them again.
void PauseCupti(bool paused) noexcept;

// True once a GPU operation has arrived: from then on kernels are the operations of this process, not operator calls.
bool CuptiDelivers() noexcept;

// Once in a while: asks CUPTI for the buffers that are complete.
void PollCupti() noexcept;

// Asks for all buffers, also those not full, and waits for them. At the end of a process or of a session.
void FlushCupti() noexcept;

void StopCupti() noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_CUPTI_SOURCE_H_
