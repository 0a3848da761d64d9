// What a series should have been, by the others: a machine that slows down slows all of them, each in its own way.
//
// Each entry is taken relative to the median of the others, whatever that did; what is left is predicted from what is
// left of the others by ridge regression over the remaining blocks, the level of either part taken out: the "synthetic
// control" of Abadie, Diamond and Hainmueller, JASA 105(490), 2010. An entry is never predicted by a fit that has seen
// it or its neighbours, so its rest is as large as it would be anew. The median comes first because slopes that were
// learnt from small changes do not hold for a machine that is a third slower altogether.
#ifndef DSOCR_DAEMON_VALIDATE_COUNTERPART_H_
#define DSOCR_DAEMON_VALIDATE_COUNTERPART_H_

#include <cstddef>
#include <utility>
#include <vector>

namespace dsocr::validate {

// The entries [0, before) and [before, length) cut into at most `count` blocks each, as even as they come.
struct Blocks {
  Blocks(size_t before, size_t length, int count);

  size_t before;
  size_t length;
  size_t before_count;                             // of the first part; they come first
  std::vector<std::pair<size_t, size_t>> extents;  // [begin, end)
};

// `series` less its prediction from `others`, which do not contain it; all of blocks.length logarithms of times.
// With no others: the series.
std::vector<double> LessCounterpart(const std::vector<double>& series,
                                    const std::vector<const std::vector<double>*>& others, const Blocks& blocks);

}  // namespace dsocr::validate

#endif  // DSOCR_DAEMON_VALIDATE_COUNTERPART_H_
