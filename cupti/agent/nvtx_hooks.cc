#include "cupti/agent/nvtx_hooks.h"

#define NVTX_NO_IMPL
#include <nvtx3/nvToolsExt.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <new>

#include "cupti/agent/nvtx_search.h"
#include "cupti/agent/recorder.h"

namespace dsocr::agent {
namespace {

// Text that outlives the call that brought it, followed by its bytes. Handles are addresses of these; they are never
// freed, as NVTX's own strings are not.
struct RegisteredText {
  Text text;
  PathMemo memo;
};

struct Domain {
  bool is_ignored;
};

// Domains of libraries that annotate their own insides: such ranges are not modules of a model.
constexpr const char* kLibraryDomains[] = {"NCCL",  "CCCL",     "cuBLAS",   "cuBLASLt", "cuDNN",
                                           "cuFFT", "cuSPARSE", "cuSOLVER", "cuRAND",   "TensorRT"};

// Ranges that a thread other than their own ended. Short, and almost always empty: one relaxed load a range call.
constexpr int kForeignEnds = 64;
std::atomic<int> foreign_end_count{0};
std::atomic<record::Owner> foreign_ends[kForeignEnds];

// UTF-8 of a wide string, cut at the longest name.
size_t ToUtf8(const wchar_t* wide, char (&utf8)[record::kMaxNameBytes]) {
  size_t size = 0;
  for (; wide != nullptr && *wide != 0 && size + 4 <= sizeof(utf8); ++wide) {
    const auto c = static_cast<uint32_t>(*wide);
    if (c < 0x80) {
      utf8[size++] = static_cast<char>(c);
    } else if (c < 0x800) {
      utf8[size++] = static_cast<char>(0xc0 | c >> 6);
      utf8[size++] = static_cast<char>(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
      utf8[size++] = static_cast<char>(0xe0 | c >> 12);
      utf8[size++] = static_cast<char>(0x80 | (c >> 6 & 0x3f));
      utf8[size++] = static_cast<char>(0x80 | (c & 0x3f));
    } else {
      utf8[size++] = static_cast<char>(0xf0 | (c >> 18 & 0x07));
      utf8[size++] = static_cast<char>(0x80 | (c >> 12 & 0x3f));
      utf8[size++] = static_cast<char>(0x80 | (c >> 6 & 0x3f));
      utf8[size++] = static_cast<char>(0x80 | (c & 0x3f));
    }
  }
  return size;
}

std::atomic<void (*)() noexcept> range_waker{nullptr};
std::atomic<bool> is_handed_over{false};  // by NVTX itself: we are its tool

void CloseForeignEnds(ThreadState& thread) {
  for (auto& place : foreign_ends) {
    record::Owner owner = place.load(std::memory_order_acquire);
    if (owner != 0 && (!thread.recorder->Knows(owner) || thread.recorder->PopOwner(thread, owner)) &&
        place.compare_exchange_strong(owner, 0)) {
      foreign_end_count.fetch_sub(1, std::memory_order_relaxed);
    }
  }
}

class RangeHook : public Hook {
 public:
  RangeHook() noexcept {
    if (!*this) {
      if (range_waker.load(std::memory_order_relaxed) != nullptr) {
        if (const auto wake = range_waker.exchange(nullptr)) {
          wake();
        }
      }
    } else if (foreign_end_count.load(std::memory_order_relaxed) > 0) {
      CloseForeignEnds(**this);
    }
  }
};

bool IsIgnored(nvtxDomainHandle_t domain) {
  return domain != nullptr && reinterpret_cast<const Domain*>(domain)->is_ignored;
}

int Push(nvtxDomainHandle_t domain, const Text& text, PathMemo* memo = nullptr) {
  const RangeHook thread;
  return thread ? thread->recorder->PushRange(*thread, text, domain, memo) : NVTX_NO_PUSH_POP_TRACKING;
}

int PushWide(nvtxDomainHandle_t domain, const wchar_t* message) {
  char utf8[record::kMaxNameBytes];
  const size_t size = ToUtf8(message, utf8);
  return Push(domain, MakeText(utf8, size));
}

int PushAttributes(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* event) {
  switch (event == nullptr ? NVTX_MESSAGE_UNKNOWN : event->messageType) {
    case NVTX_MESSAGE_TYPE_ASCII:
      return Push(domain, MakeText(event->message.ascii));
    case NVTX_MESSAGE_TYPE_UNICODE:
      return PushWide(domain, event->message.unicode);
    case NVTX_MESSAGE_TYPE_REGISTERED:
      if (event->message.registered != nullptr) {
        auto* registered = reinterpret_cast<RegisteredText*>(event->message.registered);
        return Push(domain, registered->text, &registered->memo);
      }
      break;
    default:
      break;
  }
  return Push(domain, MakeText("(unnamed)"));
}

int Pop(nvtxDomainHandle_t domain) {
  const RangeHook thread;
  return thread ? thread->recorder->PopRange(*thread, domain) : NVTX_NO_PUSH_POP_TRACKING;
}

// A start/end range is a push whose id is its owner; 0 where it was not recorded. Pops never close it: its domain is an
// address of its own.
constexpr char kStartEndDomain = 0;

template <typename PushFunction>
nvtxRangeId_t Start(PushFunction push) {
  const Hook thread;
  if (!thread || push(reinterpret_cast<nvtxDomainHandle_t>(const_cast<char*>(&kStartEndDomain))) < 0 ||
      thread->depth == 0) {
    return 0;
  }
  if (!thread->open[thread->depth - 1].is_recorded) {
    thread->recorder->PopRange(*thread, &kStartEndDomain);
    return 0;
  }
  return Recorder::CurrentOwner(*thread);
}

void End(nvtxRangeId_t id) {
  const RangeHook thread;
  if (!thread || !thread->recorder->Knows(id) || thread->recorder->PopOwner(*thread, id)) {
    return;
  }
  for (auto& place : foreign_ends) {
    record::Owner empty = 0;
    if (place.compare_exchange_strong(empty, id)) {
      foreign_end_count.fetch_add(1, std::memory_order_release);
      return;
    }
  }
}

nvtxStringHandle_t Register(const char* bytes, size_t size) {
  void* memory = std::malloc(sizeof(RegisteredText) + size);
  if (memory == nullptr) {
    return nullptr;
  }
  auto* registered = new (memory) RegisteredText{};
  auto* copy = reinterpret_cast<char*>(registered + 1);
  std::memcpy(copy, bytes, size);
  registered->text = MakeText(copy, size);
  return reinterpret_cast<nvtxStringHandle_t>(registered);
}

nvtxDomainHandle_t CreateDomain(const char* name) {
  auto* domain = static_cast<Domain*>(std::malloc(sizeof(Domain)));
  if (domain == nullptr) {
    return nullptr;  // then its ranges are the default domain's
  }
  domain->is_ignored =
      name != nullptr && std::any_of(std::begin(kLibraryDomains), std::end(kLibraryDomains),
                                     [name](const char* known) { return std::strcmp(name, known) == 0; });
  return reinterpret_cast<nvtxDomainHandle_t>(domain);
}

// --- CORE
// ------------------------------------------------------------------------------------------------------------------------

int NVTX_API RangePushEx(const nvtxEventAttributes_t* event) { return PushAttributes(nullptr, event); }
int NVTX_API RangePushA(const char* message) { return Push(nullptr, MakeText(message)); }
int NVTX_API RangePushW(const wchar_t* message) { return PushWide(nullptr, message); }
int NVTX_API RangePop() { return Pop(nullptr); }
nvtxRangeId_t NVTX_API RangeStartEx(const nvtxEventAttributes_t* event) {
  return Start([event](nvtxDomainHandle_t domain) { return PushAttributes(domain, event); });
}
nvtxRangeId_t NVTX_API RangeStartA(const char* message) {
  return Start([message](nvtxDomainHandle_t domain) { return Push(domain, MakeText(message)); });
}
nvtxRangeId_t NVTX_API RangeStartW(const wchar_t* message) {
  return Start([message](nvtxDomainHandle_t domain) { return PushWide(domain, message); });
}
void NVTX_API RangeEnd(nvtxRangeId_t id) { End(id); }

// --- CORE2
// -----------------------------------------------------------------------------------------------------------------------

int NVTX_API DomainRangePushEx(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* event) {
  return IsIgnored(domain) ? NVTX_NO_PUSH_POP_TRACKING : PushAttributes(domain, event);
}
int NVTX_API DomainRangePop(nvtxDomainHandle_t domain) {
  return IsIgnored(domain) ? NVTX_NO_PUSH_POP_TRACKING : Pop(domain);
}
nvtxRangeId_t NVTX_API DomainRangeStartEx(nvtxDomainHandle_t domain, const nvtxEventAttributes_t* event) {
  return IsIgnored(domain) ? 0 : RangeStartEx(event);
}
void NVTX_API DomainRangeEnd(nvtxDomainHandle_t, nvtxRangeId_t id) { End(id); }
nvtxStringHandle_t NVTX_API DomainRegisterStringA(nvtxDomainHandle_t, const char* string) {
  const Text text = MakeText(string);
  return Register(text.bytes, text.size);
}
nvtxStringHandle_t NVTX_API DomainRegisterStringW(nvtxDomainHandle_t, const wchar_t* string) {
  char utf8[record::kMaxNameBytes];
  return Register(utf8, ToUtf8(string, utf8));
}
nvtxDomainHandle_t NVTX_API DomainCreateA(const char* name) { return CreateDomain(name); }
nvtxDomainHandle_t NVTX_API DomainCreateW(const wchar_t* name) {
  char utf8[record::kMaxNameBytes];
  const size_t size = ToUtf8(name, utf8);
  utf8[std::min(size, sizeof(utf8) - 1)] = '\0';
  return CreateDomain(utf8);
}
void NVTX_API DomainDestroy(nvtxDomainHandle_t) {}  // ranges of it may still be open on other threads

struct NvtxHook {
  unsigned int id;
  NvtxFunctionPointer function;
};

template <typename Function>
NvtxFunctionPointer Pointer(Function* function) {
  return reinterpret_cast<NvtxFunctionPointer>(function);
}

const NvtxHook kCoreHooks[] = {
    {NVTX_CBID_CORE_RangePushEx, Pointer(RangePushEx)},   {NVTX_CBID_CORE_RangePushA, Pointer(RangePushA)},
    {NVTX_CBID_CORE_RangePushW, Pointer(RangePushW)},     {NVTX_CBID_CORE_RangePop, Pointer(RangePop)},
    {NVTX_CBID_CORE_RangeStartEx, Pointer(RangeStartEx)}, {NVTX_CBID_CORE_RangeStartA, Pointer(RangeStartA)},
    {NVTX_CBID_CORE_RangeStartW, Pointer(RangeStartW)},   {NVTX_CBID_CORE_RangeEnd, Pointer(RangeEnd)},
};
const NvtxHook kCore2Hooks[] = {
    {NVTX_CBID_CORE2_DomainRangePushEx, Pointer(DomainRangePushEx)},
    {NVTX_CBID_CORE2_DomainRangePop, Pointer(DomainRangePop)},
    {NVTX_CBID_CORE2_DomainRangeStartEx, Pointer(DomainRangeStartEx)},
    {NVTX_CBID_CORE2_DomainRangeEnd, Pointer(DomainRangeEnd)},
    {NVTX_CBID_CORE2_DomainRegisterStringA, Pointer(DomainRegisterStringA)},
    {NVTX_CBID_CORE2_DomainRegisterStringW, Pointer(DomainRegisterStringW)},
    {NVTX_CBID_CORE2_DomainCreateA, Pointer(DomainCreateA)},
    {NVTX_CBID_CORE2_DomainCreateW, Pointer(DomainCreateW)},
    {NVTX_CBID_CORE2_DomainDestroy, Pointer(DomainDestroy)},
};

struct Table {
  NvtxFunctionTable functions = nullptr;
  unsigned int size = 0;

  // Null: this NVTX has no such function.
  NvtxFunctionPointer* Place(const NvtxHook& hook) const { return hook.id < size ? functions[hook.id] : nullptr; }
};

struct Tables {
  Table core;
  Table core2;
};

bool FindTables(const void* (*get_export_table)(unsigned int), Tables* tables) {
  const auto* callbacks = static_cast<const NvtxExportTableCallbacks*>(get_export_table(NVTX_ETID_CALLBACKS));
  return callbacks != nullptr && callbacks->struct_size >= sizeof(NvtxExportTableCallbacks) &&
         callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE, &tables->core.functions, &tables->core.size) != 0 &&
         callbacks->GetModuleFunctionTable(NVTX_CB_MODULE_CORE2, &tables->core2.functions, &tables->core2.size) != 0;
}

template <size_t kCount>
void Install(const Table& table, const NvtxHook (&hooks)[kCount]) {
  for (const NvtxHook& hook : hooks) {
    if (NvtxFunctionPointer* place = table.Place(hook)) {
      *place = hook.function;
    }
  }
}

bool IsOf(Code code, NvtxFunctionPointer function) {
  const auto address = reinterpret_cast<uintptr_t>(function);
  return address >= code.begin && address < code.end;
}

// Nobody's function stands where ours would: none does, or NVTX's own, which waits for the first call.
template <size_t kCount>
bool IsFree(const Table& table, const NvtxHook (&hooks)[kCount], Code nvtx) {
  return std::all_of(std::begin(hooks), std::end(hooks), [&](const NvtxHook& hook) {
    const NvtxFunctionPointer* place = table.Place(hook);
    return place == nullptr || *place == nullptr || IsOf(nvtx, *place);
  });
}

// As NVTX itself does after the first call without a tool: a function that still waited for the first call would find
// that there is no tool, and take all hooks out.
void Lock(const Table& table, Code nvtx) {
  for (unsigned int id = 1; id < table.size; ++id) {
    if (table.functions[id] != nullptr && IsOf(nvtx, *table.functions[id])) {
      *table.functions[id] = nullptr;
    }
  }
}

}  // namespace

bool InstallNvtxHooks(const void* (*get_export_table)(unsigned int)) noexcept {
  Tables tables;
  if (!FindTables(get_export_table, &tables)) {
    return false;
  }
  Install(tables.core, kCoreHooks);
  Install(tables.core2, kCore2Hooks);
  is_handed_over.store(true);
  return true;
}

void InstallLateNvtxHooks() noexcept {
  if (is_handed_over) {
    return;  // and so is every copy that comes yet
  }
  FindNvtx([](const void* (*get_export_table)(uint32_t), Code nvtx) {
    Tables tables;
    if (FindTables(get_export_table, &tables) && IsFree(tables.core, kCoreHooks, nvtx) &&
        IsFree(tables.core2, kCore2Hooks, nvtx)) {
      Lock(tables.core, nvtx);
      Lock(tables.core2, nvtx);
      Install(tables.core, kCoreHooks);
      Install(tables.core2, kCore2Hooks);
    }
  });
}

void WakeAtNextRange(void (*wake)() noexcept) noexcept { range_waker.store(wake); }

}  // namespace dsocr::agent
