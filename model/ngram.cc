#include "model/ngram.h"

#include <algorithm>
#include <cstddef>

namespace dsocr::model {

std::vector<int64_t> BannedTokens(std::span<const int64_t> sequence, int ngram_size) {
  if (ngram_size <= 0 || sequence.size() < static_cast<size_t>(ngram_size)) {
    return {};
  }
  const size_t prefix_size = static_cast<size_t>(ngram_size) - 1;
  const std::span<const int64_t> prefix = sequence.last(prefix_size);
  std::vector<int64_t> banned;
  for (size_t start = 0; start + prefix_size < sequence.size(); ++start) {
    if (std::ranges::equal(sequence.subspan(start, prefix_size), prefix)) {
      banned.push_back(sequence[start + prefix_size]);
    }
  }
  std::ranges::sort(banned);
  banned.erase(std::unique(banned.begin(), banned.end()), banned.end());
  return banned;
}

}  // namespace dsocr::model
