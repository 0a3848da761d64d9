// CUPTI's activity records, as one struct whatever the version that wrote them.
//
// What we read of a record lies at the same place in every version of CUPTI 12 and 13 (checked when this compiles);
// what changed is how long a record is. A longer one of a known major version has fields behind those that we know; a
// shorter one than the oldest that we know was cut off.
#ifndef DSOCR_CUPTI_AGENT_ACTIVITY_H_
#define DSOCR_CUPTI_AGENT_ACTIVITY_H_

#include <cupti.h>

#include <cstddef>
#include <cstdint>

namespace dsocr::agent {

struct Activity {
  enum class Type : uint8_t {
    kKernel,
    kCopy,
    kSet,
    kWait,      // of the host
    kOverhead,  // of CUPTI
    kMemory,
    kExternal,   // correlation -> external id
    kOther,      // of a kind that we have no use for: API records, other tools' kinds
    kUnknown,    // of a kind that CUPTI 13.0 does not have
    kTruncated,  // shorter than any layout of its kind
  };
  Type type;
  uint16_t device;
  uint32_t context;
  uint32_t stream;
  uint32_t correlation;
  uint32_t graph;     // 0: none
  uint64_t node;      // of that graph
  uint64_t start_ns;  // CUPTI's clock; of memory: when
  uint64_t end_ns;
  uint64_t detail;   // copy, set, memory: bytes. External: the id
  uint64_t address;  // of memory
  bool is_release;   // of memory
  uint32_t subtype;  // external: its kind. Unknown: the activity kind
  const char* name;  // kernel: CUPTI's own, may be null. Others: ours
};

// `bytes`: from this record to the next one, or to the end of the valid part of its buffer.
Activity ReadActivity(const CUpti_Activity* record, size_t bytes) noexcept;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_ACTIVITY_H_
