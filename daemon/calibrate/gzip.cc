#include "daemon/calibrate/gzip.h"

#include <zlib.h>

#include <limits>
#include <memory>
#include <vector>

#include "fmt/format.h"

namespace dsocr::calibrate {
namespace {

constexpr int kGzipWindowBits = 16 + MAX_WBITS;  // zlib's way to say: gzip, not zlib's own wrapping
constexpr size_t kPieceBytes = size_t{64} << 10;

}  // namespace

bool IsGzip(std::string_view bytes) { return bytes.starts_with("\x1F\x8B"); }

absl::StatusOr<std::string> Gunzip(std::string_view bytes, size_t max_bytes) {
  if (bytes.size() > std::numeric_limits<uInt>::max()) {
    return absl::InvalidArgumentError(fmt::format("gzip: {} bytes, expected less than 4 GiB", bytes.size()));
  }
  z_stream stream = {};
  if (inflateInit2(&stream, kGzipWindowBits) != Z_OK) {
    return absl::ResourceExhaustedError("gzip: no memory to unpack it");
  }
  const std::unique_ptr<z_stream, int (*)(z_stream*)> owner(&stream, inflateEnd);
  stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));  // zlib writes nothing there
  stream.avail_in = static_cast<uInt>(bytes.size());
  std::vector<char> piece(kPieceBytes);
  std::string text;
  while (true) {
    stream.next_out = reinterpret_cast<Bytef*>(piece.data());
    stream.avail_out = static_cast<uInt>(piece.size());
    const int result = inflate(&stream, Z_NO_FLUSH);
    text.append(piece.data(), piece.size() - stream.avail_out);
    if (text.size() > max_bytes) {
      return absl::InvalidArgumentError(fmt::format("gzip: it unpacks to more than {} bytes", max_bytes));
    }
    if (result == Z_STREAM_END && stream.avail_in == 0) {
      return text;
    }
    if (result == Z_STREAM_END) {
      inflateReset(&stream);
    } else if (result == Z_BUF_ERROR) {
      return absl::InvalidArgumentError(fmt::format("gzip: cut off after {} bytes", bytes.size()));
    } else if (result != Z_OK) {
      return absl::InvalidArgumentError(fmt::format("gzip: damaged at byte {}: {}", bytes.size() - stream.avail_in,
                                                    stream.msg != nullptr ? stream.msg : "no gzip data"));
    }
  }
}

}  // namespace dsocr::calibrate
