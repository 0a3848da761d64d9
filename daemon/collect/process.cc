#include "daemon/collect/process.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <limits>
#include <utility>

namespace dsocr::collect {
namespace {

constexpr size_t kBatch = 512;  // 28 KiB on the stack: within the first-level cache

int64_t SteadyNow() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec * int64_t{1'000'000'000} + now.tv_nsec;
}

}  // namespace

absl::StatusOr<RingMapping> RingMapping::Map(int memfd, uint32_t slot_count) {
  struct stat status;
  const int seals = fcntl(memfd, F_GET_SEALS);  // -1: not a memfd at all
  if (seals < 0 || (seals & F_SEAL_SHRINK) == 0 || !record::IsValidSlotCount(slot_count) ||
      fstat(memfd, &status) != 0 || static_cast<uint64_t>(status.st_size) != record::RingBytes(slot_count)) {
    return absl::InvalidArgumentError("ring: not a sealed file of the stated size");
  }
  RingMapping mapping;
  mapping.bytes_ = record::RingBytes(slot_count);
  void* memory = mmap(nullptr, mapping.bytes_, PROT_READ | PROT_WRITE, MAP_SHARED, memfd, 0);
  if (memory == MAP_FAILED) {
    return absl::InternalError("ring: cannot be mapped");
  }
  mapping.memory_ = memory;
  if (!record::RingReader::Open(memory, mapping.bytes_, &mapping.reader_)) {
    return absl::InvalidArgumentError("ring: its header is not one of this version");
  }
  return mapping;
}

RingMapping& RingMapping::operator=(RingMapping&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(bytes_, other.bytes_);
  std::swap(reader_, other.reader_);
  return *this;
}

RingMapping::~RingMapping() {
  if (memory_ != nullptr) {
    munmap(memory_, bytes_);
  }
}

void TraceFile::Open(const std::string& path, int64_t pid) {
  path_ = path;
  file_.reset(std::fopen(path.c_str(), "wbe"));
  if (file_ == nullptr) {
    Fail("cannot be written");
    return;
  }
  writer_ = std::make_unique<record::TraceWriter>(file_.get());
  if (!writer_->Begin(pid)) {
    Fail("cannot be written");
  }
}

void TraceFile::Write(const record::Record* records, size_t count) {
  if (file_ != nullptr && !writer_->Write(records, count)) {
    Fail("cannot be written");
  }
}

void TraceFile::Close() {
  if (file_ != nullptr && (!writer_->Flush() || std::fclose(file_.release()) != 0)) {
    Fail("cannot be written");
  }
  writer_.reset();
}

void TraceFile::Fail(const char* what) {
  error_ = "trace '" + path_ + "': " + what + " (" + std::strerror(errno) + ")";
  writer_.reset();
  file_.reset();
}

Process::Process(int64_t pid, UniqueFd socket, RingMapping ring, attribution::Options options,
                 std::unique_ptr<RequestCounter> requests) noexcept
    : pid_(pid),
      socket_(std::move(socket)),
      ring_(std::move(ring)),
      attribution_(std::move(options)),
      requests_(std::move(requests)) {}

void Process::Fold(const record::Record* records, size_t count) {
  attribution_.Consume({records, count});
  if (requests_ != nullptr) {
    requests_->Consume({records, count}, SteadyNow());
  }
  trace_.Write(records, count);
}

size_t Process::Drain(size_t limit) {
  record::Record records[kBatch];
  size_t total = 0;
  const int64_t begin_ns = SteadyNow();
  while (total < limit) {
    const size_t count = ring_.reader().Read(records, std::min(kBatch, limit - total));
    if (count == 0) {
      seen_until_ns_ = begin_ns;
      break;
    }
    Fold(records, count);
    total += count;
  }
  return total;
}

std::optional<int64_t> Process::CountedRequests() const {
  if (requests_ == nullptr) {
    return std::nullopt;
  }
  return requests_->Ended(is_connected() ? seen_until_ns_ : std::numeric_limits<int64_t>::max());
}

void Process::Disconnect() {
  if (!socket_.valid()) {
    return;
  }
  // Two rings' worth at most: a peer that goes on writing does not hold us.
  record::Record records[kBatch];
  for (size_t left = 2 * size_t{record::kMaxRingSlots}; left > 0;) {
    const size_t count = ring_.reader().ReadAfterDeath(records, std::min(kBatch, left));
    if (count == 0) {
      break;
    }
    Fold(records, count);
    left -= count;
  }
  record::Record dropped{};
  dropped.kind = record::Kind::kDropped;
  dropped.dropped.total = ring_.reader().dropped();
  Fold(&dropped, 1);
  trace_.Close();
  socket_.reset();
  ring_ = RingMapping();
}

void Process::Send(const record::Control& control) {
  // A peer that does not take it is gone, or will be found gone by the next poll.
  [[maybe_unused]] const ssize_t sent = send(socket_.get(), &control, sizeof(control), MSG_NOSIGNAL | MSG_DONTWAIT);
}

}  // namespace dsocr::collect
