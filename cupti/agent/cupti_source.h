// Operations on a GPU: CUPTI activity records of the process, as kernel, copy and set records with the range that
// launched them. docs/gpu-capture.md is the design.
//
// An error while enabling undoes what was enabled; the process goes on without GPU records, and the report says so.
//
// Threads: one caller at a time; CUPTI calls back on the job's threads and on its own; records are decoded on a thread
// of ours, flushes are made on another.
#ifndef DSOCR_CUPTI_AGENT_CUPTI_SOURCE_H_
#define DSOCR_CUPTI_AGENT_CUPTI_SOURCE_H_

#include "cupti/agent/recorder.h"

namespace dsocr::agent {

// False: no libcupti that we know, or it refused. `recorder` must live until StopCupti
// and RetireRecorder.
bool StartCupti(Recorder* recorder) noexcept;

// What tells CUPTI of a recorded range; null where nobody needs to.
const RangeListener* CuptiListener() noexcept;

// Disables the kinds of record, or enables them again.
void PauseCupti(bool paused) noexcept;

// True once a GPU operation has arrived: from then on kernels are the operations of this process, not operator calls.
bool CuptiDelivers() noexcept;

// True between StartCupti and StopCupti.
bool IsCuptiOn() noexcept;

// Every kCuptiPollMs: asks for the buffers that are complete, looks whether records still come, writes the ledger.
inline constexpr int kCuptiPollMs = 250;
void PollCupti() noexcept;

// Asks for all buffers, also those not full, waits for them at most so long, and writes the ledger. At the end of a
// process or of a session.
void FlushCupti(int timeout_ms) noexcept;

// The last records are waited for as by FlushCupti; then nothing of ours is left in CUPTI, our threads end, the buffers
// are given back. StartCupti may come again.
void StopCupti(int timeout_ms) noexcept;

// In a forked child: CUPTI knows nothing of us, and our threads are not there.
void ForgetCuptiAfterFork() noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_CUPTI_SOURCE_H_
