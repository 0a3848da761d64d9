#include "tests/model/nvtx_recorder.h"

#define NVTX_NO_IMPL  // the types alone: the code under test brings the calls
#include <nvtx3/nvToolsExt.h>

#include <deque>

namespace dsocr::model {
namespace {

RecordedRanges ranges;
std::vector<std::string> stack;
std::deque<std::string>* registered =
    new std::deque<std::string>();  // handles point into it for the life of the process

int NVTX_API Push(nvtxDomainHandle_t, const nvtxEventAttributes_t* event) {
  const std::string name = event->messageType == NVTX_MESSAGE_TYPE_REGISTERED
                               ? *reinterpret_cast<const std::string*>(event->message.registered)
                               : std::string(event->message.ascii);
  ranges.parent.emplace(name, stack.empty() ? "" : stack.back());
  ++ranges.calls[name];
  ++ranges.open;
  ranges.in_order.push_back(name);
  stack.push_back(name);
  return static_cast<int>(stack.size()) - 1;
}

int NVTX_API Pop(nvtxDomainHandle_t) {
  stack.pop_back();
  --ranges.open;
  return static_cast<int>(stack.size());
}

nvtxStringHandle_t NVTX_API Register(nvtxDomainHandle_t, const char* text) {
  return reinterpret_cast<nvtxStringHandle_t>(&registered->emplace_back(text));
}

int Initialize(NvtxGetExportTableFunc_t get_export_table) {
  const auto* callbacks = static_cast<const NvtxExportTableCallbacks*>(get_export_table(NVTX_ETID_CALLBACKS));
  NvtxFunctionTable table = nullptr;
  unsigned int size = 0;
  callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &table, &size);
  *table[NVTX_CBID_CORE2_DomainRangePushEx] = reinterpret_cast<NvtxFunctionPointer>(&Push);
  *table[NVTX_CBID_CORE2_DomainRangePop] = reinterpret_cast<NvtxFunctionPointer>(&Pop);
  *table[NVTX_CBID_CORE2_DomainRegisterStringA] = reinterpret_cast<NvtxFunctionPointer>(&Register);
  return 1;
}

}  // namespace

void StartRecordingRanges() {
  ranges = {};
  stack.clear();
}

const RecordedRanges& RangesSeen() { return ranges; }

}  // namespace dsocr::model

extern "C" {
NvtxInitializeInjectionNvtxFunc_t InitializeInjectionNvtx2_fnptr = &dsocr::model::Initialize;
}
