#include "daemon/attach/dynolog.h"

#include <bit>
#include <cstring>
#include <type_traits>

namespace dsocr::attach {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr size_t kSizeBytes = 8;
constexpr size_t kTypeBytes = 32;
constexpr size_t kHeaderBytes = kSizeBytes + kTypeBytes;
constexpr size_t kRequestBytes = 16;  // before its pids
constexpr std::string_view kType = "req";

template <typename T>
T Read(std::string_view bytes, size_t offset) {
  static_assert(std::is_trivially_copyable_v<T>);
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

template <typename T>
void Append(T value, std::string* bytes) {
  bytes->append(reinterpret_cast<const char*>(&value), sizeof(value));
}

std::string Datagram(std::string_view payload) {
  std::string bytes;
  bytes.reserve(kHeaderBytes + payload.size());
  Append(uint64_t{payload.size()}, &bytes);
  bytes.append(kType).append(kTypeBytes - kType.size(), '\0').append(payload);
  return bytes;
}

std::optional<std::string_view> Payload(std::string_view datagram) {
  if (datagram.size() < kHeaderBytes || Read<uint64_t>(datagram, 0) != datagram.size() - kHeaderBytes) {
    return std::nullopt;
  }
  const std::string_view type = datagram.substr(kSizeBytes, kTypeBytes);
  if (type.substr(0, type.find('\0')) != kType) {
    return std::nullopt;
  }
  return datagram.substr(kHeaderBytes);
}

}  // namespace

std::optional<DynologRequest> DecodeDynologRequest(std::string_view datagram) {
  const std::optional<std::string_view> payload = Payload(datagram);
  if (!payload.has_value() || payload->size() < kRequestBytes) {
    return std::nullopt;
  }
  const auto pids = Read<int32_t>(*payload, 4);
  if (pids < 1 || static_cast<size_t>(pids) > kMaxDynologPids ||
      payload->size() != kRequestBytes + sizeof(int32_t) * static_cast<size_t>(pids)) {
    return std::nullopt;
  }
  DynologRequest request{.activities = Read<int32_t>(*payload, 0), .job = Read<int64_t>(*payload, 8)};
  request.pids.resize(static_cast<size_t>(pids));
  std::memcpy(request.pids.data(), payload->data() + kRequestBytes, payload->size() - kRequestBytes);
  return request;
}

std::string EncodeDynologRequest(const DynologRequest& request) {
  std::string payload;
  Append(request.activities, &payload);
  Append(static_cast<int32_t>(request.pids.size()), &payload);
  Append(request.job, &payload);
  for (const int32_t pid : request.pids) {
    Append(pid, &payload);
  }
  return Datagram(payload);
}

std::optional<std::string> DecodeDynologReply(std::string_view datagram) {
  const std::optional<std::string_view> payload = Payload(datagram);
  return payload.has_value() ? std::optional<std::string>(*payload) : std::nullopt;
}

std::string EncodeDynologReply(std::string_view configuration) { return Datagram(configuration); }

}  // namespace dsocr::attach
