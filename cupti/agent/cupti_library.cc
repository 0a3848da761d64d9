#include "cupti/agent/cupti_library.h"

#include <dlfcn.h>

#include <initializer_list>

namespace dsocr::agent {
namespace {

template <typename Function>
bool Find(void* library, const char* name, Function* function) {
  *function = reinterpret_cast<Function>(dlsym(library, name));
  return *function != nullptr;
}

void* OpenCupti() {
  for (const int mode : {RTLD_NOW | RTLD_NOLOAD, RTLD_NOW}) {
    for (const char* name : {"libcupti.so.13", "libcupti.so.12"}) {
      if (void* library = dlopen(name, mode)) {
        return library;
      }
    }
  }
  return nullptr;
}

// cuptiGetVersion counts: 19 is CUDA 12.0, 27 is 12.9. From CUDA 13 on it says 130001 for 13.0.
constexpr uint32_t kFirstApiOf12 = 19;
constexpr uint32_t kFirstApiThatCountsRefusals = 27;
constexpr uint32_t kFirstLongVersion = 1000;

}  // namespace

LibraryState FindCupti(CuptiLibrary* library) noexcept {
  void* handle = OpenCupti();
  uint32_t version = 0;
  if (handle == nullptr || !Find(handle, "cuptiGetVersion", &library->get_version) ||
      !Find(handle, "cuptiGetTimestamp", &library->timestamp) ||
      !Find(handle, "cuptiActivityRegisterCallbacks", &library->register_callbacks) ||
      !Find(handle, "cuptiActivityEnable", &library->enable) ||
      !Find(handle, "cuptiActivityDisable", &library->disable) ||
      !Find(handle, "cuptiActivityFlushAll", &library->flush_all) ||
      !Find(handle, "cuptiActivityGetNextRecord", &library->next_record) ||
      !Find(handle, "cuptiActivityGetNumDroppedRecords", &library->dropped_records) ||
      !Find(handle, "cuptiActivityPushExternalCorrelationId", &library->push_external) ||
      !Find(handle, "cuptiActivityPopExternalCorrelationId", &library->pop_external) ||
      library->get_version(&version) != CUPTI_SUCCESS) {
    return LibraryState::kAbsent;
  }
  Find(handle, "cuptiActivityEnableDriverApi", &library->enable_driver_api);
  Find(handle, "cuptiSubscribe_v2", &library->subscribe_v2);
  Find(handle, "cuptiSubscribe", &library->subscribe);
  Find(handle, "cuptiUnsubscribe", &library->unsubscribe);
  Find(handle, "cuptiEnableCallback", &library->enable_callback);
  Find(handle, "cuptiGetStreamIdEx", &library->stream_id);
  Find(handle, "cuptiGetDeviceId", &library->device_id);
  Find(handle, "cuptiGetGraphId", &library->graph_id);
  Find(handle, "cuptiGetGraphExecId", &library->graph_exec_id);
  Find(handle, "cuptiGetGraphNodeId", &library->graph_node_id);
  library->major = version >= kFirstLongVersion ? static_cast<int>(version / 10'000)
                   : version >= kFirstApiOf12   ? 12
                                                : 11;
  library->can_refuse_buffers = version >= kFirstApiThatCountsRefusals;
  return library->major < kOldestCuptiMajor || library->major > kNewestCuptiMajor ? LibraryState::kUnknownVersion
                                                                                  : LibraryState::kFound;
}

}  // namespace dsocr::agent
