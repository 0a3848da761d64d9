#include "tests/fake/faults.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <utility>
#include <vector>

#include "tests/fake/duration.h"

namespace dsocr::fake {
namespace {

constexpr std::pair<const char*, OperationFault> kOperationFaults[] = {
    {"drop", OperationFault::kDropped},
    {"reversed_times", OperationFault::kReversedTimes},
    {"zero_times", OperationFault::kZeroTimes},
    {"duplicate", OperationFault::kDuplicate},
    {"unknown_kind", OperationFault::kUnknownKind},
    {"bad_name", OperationFault::kBadName},
};

bool ParseCount(const std::string& text, int64_t* count) {
  char* end = nullptr;
  *count = std::strtoll(text.c_str(), &end, 10);
  return !text.empty() && *end == '\0';
}

}  // namespace

Faults& ProcessFaults() {
  static Faults* const faults = new Faults;
  return *faults;
}

Faults::Faults() {
  const char* const lines = std::getenv("FAKE_CUPTI_FAULTS");
  std::istringstream stream(lines == nullptr ? "" : lines);
  for (std::string line; std::getline(stream, line, ';');) {
    if (const char* const error = Arm(line)) {
      std::fprintf(stderr, "fake cupti: %s\n", error);
      std::abort();
    }
  }
}

const char* Faults::Arm(const std::string& line) {
  static thread_local std::string error;
  error = "not a fault: '" + line + "'";
  std::istringstream stream(line);
  std::vector<std::string> words;
  for (std::string word; stream >> word;) {
    words.push_back(word);
  }
  if (words.empty() || words.size() > 2) {
    return error.c_str();
  }
  const std::string& name = words[0];
  const std::string value = words.size() > 1 ? words[1] : "";
  int64_t duration_ns = 0;
  int64_t count = 1;
  const bool is_duration = ParseDuration(value, &duration_ns);
  const bool is_count = value.empty() || ParseCount(value, &count);
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [fault_name, fault] : kOperationFaults) {
    if (name == fault_name && is_count && count >= 0) {
      operation_fault_ = fault;
      operation_count_ = static_cast<uint32_t>(count);
      is_armed_ = true;
      return nullptr;
    }
  }
  if ((name == "stall" || name == "stall_for_ever") && is_count) {  // after so many records more
    records_until_stall_ = value.empty() ? 0 : count;
    after_stall_ = name == "stall" ? Stall::kStalled : Stall::kForEver;
    is_armed_ = true;
  } else if (name == "launch_error" && is_count) {
    failing_launches_ = static_cast<int>(count);
    is_armed_ = true;
  } else if (name == "late_buffers" && is_count) {
    buffer_.late_buffers = static_cast<int>(count);
  } else if (name == "late" && is_duration) {
    buffer_.late_ns = duration_ns;
  } else if (name == "reverse_buffers" && is_count) {
    buffer_.reversed_buffers = static_cast<int>(count);
  } else if (name == "reverse_records" && value.empty()) {
    buffer_.has_reversed = true;
  } else if (name == "truncate" && is_count) {
    buffer_.truncated_bytes = static_cast<uint64_t>(count);
  } else if (name == "clock_jump" && is_duration) {
    clock_offset_ns_ += duration_ns;
  } else if (name == "version" && is_count && !value.empty()) {
    version_ = static_cast<uint32_t>(count);
  } else if (name == "refuse_subscriber") {
    other_subscriber_ = value;
  } else if (name == "refuse_kind" && is_count && !value.empty()) {
    refused_kind_ = static_cast<int>(count);
  } else if (name == "stuck_flush" && value.empty()) {
    is_flush_stuck_ = true;
  } else if (name == "slow_flush" && is_duration) {
    slow_flush_ns_ = duration_ns;
  } else {
    return error.c_str();
  }
  return nullptr;
}

OperationFault Faults::TakeArmedFault(uint32_t records, uint32_t* count) {
  const std::lock_guard<std::mutex> lock(mutex_);
  *count = records;
  if (after_stall_ != Stall::kNone && records_until_stall_ <= 0) {
    stall_ = std::exchange(after_stall_, Stall::kNone);
  }
  if (stall_ != Stall::kNone) {
    return OperationFault::kStalled;
  }
  records_until_stall_ -= records;
  if (operation_count_ == 0) {
    is_armed_ = stall_ != Stall::kNone || after_stall_ != Stall::kNone || failing_launches_ > 0;
    *count = 0;
    return OperationFault::kNone;
  }
  *count = std::min(operation_count_, records);
  operation_count_ -= *count;
  return operation_fault_;
}

int Faults::TakeLaunchError() {
  if (!is_armed_.load(std::memory_order_relaxed)) {
    return 0;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (failing_launches_ == 0) {
    return 0;
  }
  --failing_launches_;
  return 701;  // CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES
}

BufferFaults Faults::TakeBufferFaults() {
  const std::lock_guard<std::mutex> lock(mutex_);
  return std::exchange(buffer_, {});
}

void Faults::OnDisable() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stall_ == Stall::kStalled) {
    stall_ = Stall::kDisabled;
  }
}

void Faults::OnFlush() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stall_ == Stall::kDisabled) {
    stall_ = Stall::kFlushed;
  }
}

void Faults::OnEnable() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (stall_ == Stall::kFlushed) {
    stall_ = Stall::kNone;
  }
}

std::string Faults::other_subscriber() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return other_subscriber_;
}

}  // namespace dsocr::fake
