#include "model/weights/safetensors.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>

#include "model/error.h"

namespace dsocr::model {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // as in the reference implementation (safetensors, MAX_HEADER_SIZE)
constexpr size_t kMaxDimensions = 8;
constexpr char kTodo[] = "fetch the file again";

[[noreturn]] void Fail(const std::filesystem::path& path, const std::string& why) {
  throw InputError(ErrorCode::kInvalidArgument, "weights '" + path.string() + "'", why, kTodo);
}

std::optional<at::ScalarType> ParseDtype(const std::string& name) {
  static const std::map<std::string, at::ScalarType> kDtypes = {
      {"F32", at::kFloat}, {"F16", at::kHalf},  {"BF16", at::kBFloat16}, {"F64", at::kDouble}, {"I64", at::kLong},
      {"I32", at::kInt},   {"I16", at::kShort}, {"I8", at::kChar},       {"U8", at::kByte},    {"BOOL", at::kBool}};
  const auto found = kDtypes.find(name);
  if (found == kDtypes.end()) return std::nullopt;
  return found->second;
}

// Refuses a name that stands twice: JSON parsers keep one of the two, and which one is nobody's contract.
Json ParseHeader(const std::filesystem::path& path, const uint8_t* text, uint64_t size_bytes) {
  std::vector<std::string> names;
  const Json::parser_callback_t keep_names = [&](int depth, Json::parse_event_t event, Json& parsed) {
    if (depth == 1 && event == Json::parse_event_t::key) names.push_back(parsed.get<std::string>());
    return true;
  };
  const char* begin = reinterpret_cast<const char*>(text);
  Json header = Json::parse(begin, begin + size_bytes, keep_names, /*allow_exceptions=*/false);
  if (header.is_discarded() || !header.is_object()) Fail(path, "the header is not a JSON object");
  std::sort(names.begin(), names.end());
  const auto twice = std::adjacent_find(names.begin(), names.end());
  if (twice != names.end()) Fail(path, "tensor '" + *twice + "' stands twice in the header");
  return header;
}

TensorEntry ParseEntry(const std::filesystem::path& path, const std::string& name, const Json& json,
                       uint64_t data_size_bytes) {
  const std::string tensor = "tensor '" + name + "' ";
  const auto is_unsigned = [](const Json& value) { return value.is_number_unsigned(); };
  if (!json.is_object() || !json.contains("dtype") || !json["dtype"].is_string() || !json.contains("shape") ||
      !json["shape"].is_array() || !json.contains("data_offsets") || !json["data_offsets"].is_array() ||
      json["data_offsets"].size() != 2 || json["shape"].size() > kMaxDimensions ||
      !std::all_of(json["shape"].begin(), json["shape"].end(), is_unsigned) ||
      !std::all_of(json["data_offsets"].begin(), json["data_offsets"].end(), is_unsigned)) {
    Fail(path, tensor + "has a malformed header entry");
  }
  TensorEntry entry;
  const std::string dtype = json["dtype"].get<std::string>();
  const std::optional<at::ScalarType> known = ParseDtype(dtype);
  if (!known) Fail(path, tensor + "has the unknown dtype '" + dtype + "'");
  entry.dtype = *known;

  uint64_t bytes = c10::elementSize(entry.dtype);
  for (const Json& extent : json["shape"]) {
    const uint64_t value = extent.get<uint64_t>();
    if (value > INT64_MAX || __builtin_mul_overflow(bytes, value, &bytes))
      Fail(path, tensor + "has an impossible shape");
    entry.shape.push_back(static_cast<int64_t>(value));
  }
  entry.begin_bytes = json["data_offsets"][0].get<uint64_t>();
  entry.end_bytes = json["data_offsets"][1].get<uint64_t>();
  if (entry.begin_bytes > entry.end_bytes || entry.end_bytes > data_size_bytes) {
    Fail(path, tensor + "has offsets [" + std::to_string(entry.begin_bytes) + "," + std::to_string(entry.end_bytes) +
                   ") outside the " + std::to_string(data_size_bytes) + " bytes of data (file truncated?)");
  }
  if (entry.end_bytes - entry.begin_bytes != bytes) {
    Fail(path, tensor + "has " + std::to_string(entry.end_bytes - entry.begin_bytes) +
                   " bytes of data, its shape needs " + std::to_string(bytes));
  }
  return entry;
}

void RefuseOverlaps(const std::filesystem::path& path, const std::map<std::string, TensorEntry>& entries) {
  std::vector<std::pair<const TensorEntry*, const std::string*>> in_order;
  for (const auto& [name, entry] : entries) {
    if (entry.begin_bytes != entry.end_bytes) in_order.emplace_back(&entry, &name);
  }
  std::sort(in_order.begin(), in_order.end(),
            [](const auto& a, const auto& b) { return a.first->begin_bytes < b.first->begin_bytes; });
  for (size_t i = 1; i < in_order.size(); ++i) {
    if (in_order[i].first->begin_bytes < in_order[i - 1].first->end_bytes) {
      Fail(path, "tensors '" + *in_order[i - 1].second + "' and '" + *in_order[i].second + "' overlap");
    }
  }
}

}  // namespace

MappedFile::MappedFile(const std::filesystem::path& path) {
  const std::string what = "weights '" + path.string() + "'";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) {
    const int error = errno;
    const ErrorCode code = error == ENOENT   ? ErrorCode::kNotFound
                           : error == EACCES ? ErrorCode::kPermissionDenied
                                             : ErrorCode::kFailedPrecondition;
    throw InputError(code, what, std::strerror(error), "check the path and its permissions");
  }
  struct stat info = {};
  const bool is_file = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  void* mapping = MAP_FAILED;
  if (is_file && info.st_size > 0) {
    mapping = ::mmap(nullptr, static_cast<size_t>(info.st_size), PROT_READ, MAP_PRIVATE, fd, 0);
  }
  ::close(fd);
  if (!is_file) throw InputError(ErrorCode::kInvalidArgument, what, "not a regular file", "name a safetensors file");
  if (info.st_size == 0) throw InputError(ErrorCode::kInvalidArgument, what, "the file is empty", kTodo);
  if (mapping == MAP_FAILED) {
    throw InputError(ErrorCode::kResourceExhausted, what, "the file cannot be mapped", "free address space");
  }
  data_ = static_cast<const uint8_t*>(mapping);
  size_bytes_ = static_cast<uint64_t>(info.st_size);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<uint8_t*>(data_), size_bytes_);
}

SafetensorsFile SafetensorsFile::Open(const std::filesystem::path& path) {
  SafetensorsFile result;
  result.path_ = path;
  result.file_ = std::make_shared<const MappedFile>(path);
  const MappedFile& file = *result.file_;
  if (file.size_bytes() < kLengthBytes) Fail(path, "shorter than the 8 bytes of a header length");
  uint64_t header_bytes = 0;
  std::memcpy(&header_bytes, file.data(), kLengthBytes);
  if (header_bytes > kMaxHeaderBytes || header_bytes > file.size_bytes() - kLengthBytes) {
    Fail(path, "a header of " + std::to_string(header_bytes) + " bytes does not fit a file of " +
                   std::to_string(file.size_bytes()) + " or the limit of " + std::to_string(kMaxHeaderBytes));
  }
  result.data_start_bytes_ = kLengthBytes + header_bytes;
  const Json header = ParseHeader(path, file.data() + kLengthBytes, header_bytes);
  const uint64_t data_size_bytes = file.size_bytes() - result.data_start_bytes_;
  for (const auto& [name, json] : header.items()) {
    if (name == "__metadata__") continue;
    result.entries_.emplace(name, ParseEntry(path, name, json, data_size_bytes));
  }
  RefuseOverlaps(path, result.entries_);
  return result;
}

at::Tensor SafetensorsFile::Read(const std::string& name) const {
  const auto found = entries_.find(name);
  if (found == entries_.end()) {
    throw InputError(ErrorCode::kNotFound, "weights '" + path_.string() + "'", "no tensor '" + name + "' in it", kTodo);
  }
  const TensorEntry& entry = found->second;
  // from_blob wants a mutable pointer; the pages are read-only, so a write would be a fault, not a corruption.
  auto* bytes = const_cast<uint8_t*>(file_->data() + data_start_bytes_ + entry.begin_bytes);
  if (reinterpret_cast<uintptr_t>(bytes) % c10::elementSize(entry.dtype) != 0) {
    at::Tensor copy = at::empty(entry.shape, entry.dtype);
    std::memcpy(copy.mutable_data_ptr(), bytes, entry.end_bytes - entry.begin_bytes);
    return copy;
  }
  return at::from_blob(
      bytes, entry.shape, [keep = file_](void*) {}, at::TensorOptions(entry.dtype));
}

}  // namespace dsocr::model
