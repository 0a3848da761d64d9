// The functions of libcupti that the agent calls, looked up in the copy that the process already has (libtorch_cpu
// links one), else in one loaded by name. Without the optional ones a feature is missing, never the agent.
#ifndef DSOCR_CUPTI_AGENT_CUPTI_LIBRARY_H_
#define DSOCR_CUPTI_AGENT_CUPTI_LIBRARY_H_

#include <cupti.h>

#include <cstdint>

namespace dsocr::agent {

struct CuptiLibrary {
  decltype(&cuptiGetVersion) get_version;
  decltype(&cuptiGetTimestamp) timestamp;
  decltype(&cuptiActivityRegisterCallbacks) register_callbacks;
  decltype(&cuptiActivityEnable) enable;
  decltype(&cuptiActivityDisable) disable;
  decltype(&cuptiActivityFlushAll) flush_all;
  decltype(&cuptiActivityGetNextRecord) next_record;
  decltype(&cuptiActivityGetNumDroppedRecords) dropped_records;
  decltype(&cuptiActivityPushExternalCorrelationId) push_external;
  decltype(&cuptiActivityPopExternalCorrelationId) pop_external;
  // Optional: null where this version has none.
  decltype(&cuptiActivityEnableDriverApi) enable_driver_api;
  decltype(&cuptiSubscribe_v2) subscribe_v2;
  decltype(&cuptiSubscribe) subscribe;
  decltype(&cuptiUnsubscribe) unsubscribe;
  decltype(&cuptiEnableCallback) enable_callback;
  decltype(&cuptiGetStreamIdEx) stream_id;
  decltype(&cuptiGetDeviceId) device_id;
  decltype(&cuptiGetGraphId) graph_id;
  decltype(&cuptiGetGraphExecId) graph_exec_id;
  decltype(&cuptiGetGraphNodeId) graph_node_id;

  // 12, 13, …: whose record layouts it writes.
  int major;
  // True where a refused buffer is counted as dropped records by CUPTI itself: since 12.9.
  bool can_refuse_buffers;
};

enum class LibraryState { kFound, kAbsent, kUnknownVersion };

// Fills in `library`. kUnknownVersion: `library->major` is of a CUPTI whose records we cannot read.
LibraryState FindCupti(CuptiLibrary* library) noexcept;

inline constexpr int kOldestCuptiMajor = 12;
inline constexpr int kNewestCuptiMajor = 13;

}  // namespace dsocr::agent

#endif  // DSOCR_CUPTI_AGENT_CUPTI_LIBRARY_H_
