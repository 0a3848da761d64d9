#include "model/synthetic.h"

#include <algorithm>
#include <string>

#include "model/error.h"

namespace dsocr::model {
namespace {

constexpr uint8_t kPaper = 214;
constexpr uint8_t kInk = 60;
constexpr int kLinePixels = 24;   // line pitch
constexpr int kGlyphPixels = 12;  // height of the ink in a line
constexpr int kBarPixels = 8;     // width of one bar

// Ids below this are the byte-level vocabulary of the published tokenizer; above it are placeholders.
constexpr int64_t kMaxTextId = 128'000;
constexpr int64_t kFirstTextId = 3;  // after bos, eos, pad

// A mixer of 64 bits (splitmix64, Steele, Lea and Flood 2014): position in, arbitrary but fixed value out.
uint64_t Mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15;
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

}  // namespace

Image SyntheticPage(Size size) {
  Image page{size.width, size.height, std::vector<uint8_t>(size_t{3} * size.width * size.height, kPaper)};
  for (int y = 0; y < size.height; ++y) {
    if (y % kLinePixels >= kGlyphPixels) continue;
    uint8_t* row = page.Row(y);
    for (int x = 0; x < size.width; ++x) {
      const uint64_t bar = Mix(static_cast<uint64_t>(y / kLinePixels) << 32 | static_cast<uint64_t>(x / kBarPixels));
      if (bar % 3 != 0) std::fill_n(row + 3 * x, 3, kInk);
    }
  }
  return page;
}

std::vector<int64_t> SyntheticPrompt(const ModelConfig& config, int64_t image_tokens, int64_t seq_len) {
  if (seq_len < image_tokens + 1) {
    throw InputError(ErrorCode::kInvalidArgument, "seq_len " + std::to_string(seq_len),
                     "the image alone has " + std::to_string(image_tokens) + " tokens, and one more begins the text",
                     "take at least " + std::to_string(image_tokens + 1));
  }
  std::vector<int64_t> ids = {config.bos_token_id};
  ids.insert(ids.end(), static_cast<size_t>(image_tokens), config.image_token_id);
  const int64_t limit = std::min(config.decoder.vocab_size, kMaxTextId);
  for (uint64_t i = 0; static_cast<int64_t>(ids.size()) < seq_len; ++i) {
    const int64_t id = kFirstTextId + static_cast<int64_t>(Mix(i) % static_cast<uint64_t>(limit - kFirstTextId));
    if (id != config.image_token_id) ids.push_back(id);
  }
  return ids;
}

}  // namespace dsocr::model
