#include "cupti/agent/decoder.h"

#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <iterator>

#include "cupti/agent/intern.h"
#include "cupti/agent/spread.h"

namespace dsocr::agent {
namespace {

// How far a device's times may be off from the host's, converted by CUPTI, before they are called impossible.
constexpr int64_t kSlackNs = 10'000'000;
// What ran when the agent came may have begun this much earlier.
constexpr int64_t kOldestStartNs = 60'000'000'000;

// Copies the text at `address` of this process, whatever is there. Its length; 0: nothing readable.
size_t ReadText(const char* address, char (&text)[record::kMaxNameBytes]) {
  constexpr size_t kPage = 4096;
  size_t size = 0;
  while (size < sizeof(text)) {
    const auto place = reinterpret_cast<uintptr_t>(address + size);
    const size_t piece = std::min(sizeof(text) - size, kPage - place % kPage);
    const iovec local{text + size, piece};
    const iovec remote{const_cast<char*>(address + size), piece};
    if (process_vm_readv(getpid(), &local, 1, &remote, 1, 0) != static_cast<ssize_t>(piece)) {
      break;
    }
    if (const void* end = std::memchr(text + size, '\0', piece)) {
      return static_cast<size_t>(static_cast<const char*>(end) - text);
    }
    size += piece;
  }
  return size;
}

record::Kind KindOf(Activity::Type type) {
  switch (type) {
    case Activity::Type::kCopy:
      return record::Kind::kCopy;
    case Activity::Type::kSet:
      return record::Kind::kSet;
    case Activity::Type::kWait:
      return record::Kind::kWait;
    case Activity::Type::kOverhead:
      return record::Kind::kOverhead;
    default:
      return record::Kind::kKernel;
  }
}

}  // namespace

// Into a recorder of another recording nothing goes that belongs to an earlier one.
void Decoder::Follow(const Recorder& recorder) noexcept {
  if (recording_ == recorder.recording()) {
    return;
  }
  recording_ = recorder.recording();
  waiting_count_ = names_known_ = 0;
  unexplained_.store(0, std::memory_order_relaxed);
  std::fill(std::begin(arrivals_), std::end(arrivals_), Arrival{});
  std::fill(std::begin(names_), std::end(names_), KnownName{});
}

void Decoder::Decode(Recorder& recorder, uint8_t* buffer, size_t valid_bytes) noexcept {
  Follow(recorder);
  now_ns_ = NowNs();
  has_realigned_ = false;
  CUpti_Activity* activity = nullptr;
  size_t last = 0;  // where the last record begins
  CUptiResult result =
      valid_bytes == 0 ? CUPTI_ERROR_MAX_LIMIT_REACHED : library_.next_record(buffer, valid_bytes, &activity);
  while (result == CUPTI_SUCCESS && activity != nullptr) {
    CUpti_Activity* const current = activity;
    const auto offset = static_cast<size_t>(reinterpret_cast<uint8_t*>(current) - buffer);
    if (offset >= valid_bytes) {
      break;
    }
    last = offset;
    result = library_.next_record(buffer, valid_bytes, &activity);
    const size_t next = result == CUPTI_SUCCESS && activity > current
                            ? static_cast<size_t>(reinterpret_cast<uint8_t*>(activity) - buffer)
                            : valid_bytes;
    Take(recorder, ReadActivity(current, std::min(next, valid_bytes) - offset));
    if (activity <= current) {
      break;
    }
  }
  if (result != CUPTI_SUCCESS && result != CUPTI_ERROR_MAX_LIMIT_REACHED) {
    recorder.CountInvalid(1);
    incidents_.Tell(recorder, record::IncidentCode::kTruncated, static_cast<int64_t>(valid_bytes - last));
  }
  RetryWaiting(recorder, false);
}

void Decoder::Take(Recorder& recorder, const Activity& activity) noexcept {
  switch (activity.type) {
    case Activity::Type::kKernel:
    case Activity::Type::kCopy:
    case Activity::Type::kSet:
      TakeOperation(recorder, activity);
      break;
    case Activity::Type::kWait:
    case Activity::Type::kOverhead: {
      record::Record record{};
      record.kind = KindOf(activity.type);
      Launch launch{};
      if (Place(recorder, activity, now_ns_ - kOldestStartNs, &record.operation.start_ns, &record.operation.end_ns)) {
        record.operation.owner = books_.launches.Find(activity.correlation, &launch) ? launch.owner : 0;
        record.operation.name = NameOf(recorder, activity);
        record.operation.stream = activity.stream;
        record.operation.context = activity.context;
        record.operation.correlation = activity.correlation;
        recorder.Write(record);
      }
      break;
    }
    case Activity::Type::kMemory:
      TakeMemory(recorder, activity);
      break;
    case Activity::Type::kExternal:
      if (activity.subtype == kExternalKind && activity.correlation != 0) {
        Launch launch{};
        if (!books_.launches.Find(activity.correlation, &launch) || launch.owner == 0) {
          launch.owner = activity.detail;
          launch.is_skipped = activity.detail == kSkippedOwner;
          books_.launches.Put(activity.correlation, launch);
        }
      }
      break;
    case Activity::Type::kUnknown:
      incidents_.Tell(recorder, record::IncidentCode::kUnknownKind, activity.subtype);
      break;
    case Activity::Type::kTruncated:
      recorder.CountInvalid(1);
      incidents_.Tell(recorder, record::IncidentCode::kTruncated, 0);
      break;
    case Activity::Type::kOther:
      break;
  }
}

bool Decoder::Place(Recorder& recorder, const Activity& activity, int64_t not_before_ns, int64_t* start_ns,
                    int64_t* end_ns) noexcept {
  const auto place = [&] {
    return clock_.Place(activity.start_ns, activity.end_ns, not_before_ns, now_ns_ + kSlackNs, start_ns, end_ns);
  };
  if (place()) {
    return true;
  }
  if (activity.start_ns == 0 || activity.end_ns < activity.start_ns || has_realigned_) {
    return false;
  }
  has_realigned_ = true;  // somebody may have set the clock since it was read
  int64_t jump_ns = 0;
  if (clock_.Align(library_, &jump_ns) && jump_ns != 0) {
    incidents_.Tell(recorder, record::IncidentCode::kClockJumped, jump_ns);
  }
  return place();
}

void Decoder::TakeOperation(Recorder& recorder, const Activity& activity) noexcept {
  Launch launch{};
  const bool is_known = books_.launches.Find(activity.correlation, &launch);
  if (is_known && launch.is_skipped) {
    return;
  }
  const uint16_t row = books_.ledger.Row(activity.device, activity.context, activity.stream);
  uint16_t launched_on = is_known && launch.is_counted ? launch.row : StreamLedger::kUncounted;

  Arrival& arrival = arrivals_[activity.correlation % kArrivals];
  if (arrival.correlation != activity.correlation) {
    arrival = {activity.correlation, 0, activity.start_ns, activity.start_ns};
  }
  bool is_repeated = false;
  if (is_known && launch.operations > 0 && arrival.operations >= launch.operations) {
    // More than were launched: one that was read already, or an operation that the launch was not known to have.
    launched_on = StreamLedger::kUncounted;
    is_repeated = activity.start_ns >= arrival.first_start && activity.start_ns <= arrival.last_start;
    incidents_.Tell(recorder, record::IncidentCode::kDuplicate, activity.correlation);
  }
  ++arrival.operations;
  arrival.first_start = std::min(arrival.first_start, activity.start_ns);
  arrival.last_start = std::max(arrival.last_start, activity.start_ns);

  record::Record record{};
  const int64_t not_before_ns = is_known && launch.time_ns != 0 ? launch.time_ns - kSlackNs : now_ns_ - kOldestStartNs;
  if (is_repeated) {
    recorder.CountInvalid(1);  // no operation of its own: the ledger has it
    return;
  }
  if (!Place(recorder, activity, not_before_ns, &record.operation.start_ns, &record.operation.end_ns)) {
    recorder.CountInvalid(1);
    books_.ledger.AddInvalid(row, launched_on);
    return;
  }
  record.kind = KindOf(activity.type);
  record.device = activity.device;
  record.thread = activity.graph;
  record.operation.owner = launch.owner;
  record.operation.name = NameOf(recorder, activity);
  record.operation.stream = activity.stream;
  record.operation.context = activity.context;
  record.operation.correlation = activity.correlation;
  record.operation.detail = activity.graph != 0 ? activity.node : activity.detail;
  if (!is_known) {
    unexplained_.fetch_add(1, std::memory_order_relaxed);
    if (waiting_count_ < kMaxWaiting) {
      waiting_[waiting_count_++] = {record, row, launched_on, 0};
      return;
    }
  }
  Write(recorder, record, row, launched_on);
}

void Decoder::TakeMemory(Recorder& recorder, const Activity& activity) noexcept {
  record::Record record{};
  int64_t end_ns = 0;
  if (!Place(recorder, activity, now_ns_ - kOldestStartNs, &record.memory.time_ns, &end_ns)) {
    return;
  }
  Launch launch{};
  const auto bytes = static_cast<int64_t>(std::min<uint64_t>(activity.detail, uint64_t{1} << 50));
  record.kind = record::Kind::kMemory;
  record.device = activity.device;
  record.memory.owner = books_.launches.Find(activity.correlation, &launch) ? launch.owner : 0;
  record.memory.address = activity.address;
  record.memory.bytes = activity.is_release ? -bytes : bytes;
  recorder.Write(record);
}

void Decoder::Write(Recorder& recorder, const record::Record& record, uint16_t row, uint16_t launched_on) noexcept {
  if (recorder.Write(record)) {
    books_.ledger.AddRecorded(row, launched_on);
  } else {
    books_.ledger.AddDropped(row, launched_on);
  }
}

void Decoder::RetryWaiting(Recorder& recorder, bool is_last) noexcept {
  is_last = is_last || waiting_count_ > kMaxWaiting / 2;
  uint32_t kept = 0;
  for (uint32_t i = 0; i < waiting_count_; ++i) {
    Waiting& waiting = waiting_[i];
    Launch launch{};
    if (books_.launches.Find(waiting.record.operation.correlation, &launch)) {
      if (launch.is_skipped) {
        continue;
      }
      waiting.record.operation.owner = launch.owner;
    } else if (!is_last && waiting.rounds++ < kMaxRounds) {
      waiting_[kept++] = waiting;
      continue;
    }
    Write(recorder, waiting.record, waiting.row, waiting.launched_on);
  }
  waiting_count_ = kept;
}

void Decoder::WriteWaiting(Recorder& recorder) noexcept {
  Follow(recorder);
  RetryWaiting(recorder, true);
}

record::NameId Decoder::NameOf(Recorder& recorder, const Activity& activity) noexcept {
  if (activity.type != Activity::Type::kKernel) {
    return recorder.Name(MakeText(activity.name));
  }
  if (activity.name == nullptr) {
    return 0;
  }
  uint64_t place = Spread(reinterpret_cast<uint64_t>(activity.name)) >> 51;
  static_assert(kNamePlaces == 1 << (64 - 51));
  for (; names_[place].text != nullptr; place = (place + 1) % kNamePlaces) {
    if (names_[place].text == activity.name) {
      return names_[place].id;
    }
  }
  char text[record::kMaxNameBytes];
  const record::NameId id = recorder.Name(MakeText(text, ReadText(activity.name, text)));
  if (id != 0 && names_known_ < kNamePlaces / 2) {
    names_[place] = {activity.name, id};
    ++names_known_;
  }
  return id;
}

}  // namespace dsocr::agent
