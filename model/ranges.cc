#include "model/ranges.h"

namespace dsocr::model {

RangeName::RangeName(std::string id) : id_(std::move(id)), attributes_{} {
  attributes_.version = NVTX_VERSION;
  attributes_.size = NVTX_EVENT_ATTRIB_STRUCT_SIZE;
  const nvtxStringHandle_t registered = nvtxDomainRegisterStringA(nullptr, id_.c_str());
  if (registered != nullptr) {
    attributes_.messageType = NVTX_MESSAGE_TYPE_REGISTERED;
    attributes_.message.registered = registered;
  } else {  // no tool, or one that registers no strings
    attributes_.messageType = NVTX_MESSAGE_TYPE_ASCII;
    attributes_.message.ascii = id_.c_str();
  }
}

}  // namespace dsocr::model
