#include "model/place.h"

#include <ATen/ATen.h>

#include <limits>

namespace dsocr::model {

Place Place::KnownToHost(const RopeTable& table, int64_t start, int64_t tokens) {
  Place place;
  place.rope_ = table.Rows(start, tokens);
  place.tokens_ = tokens;
  place.span_ = start + tokens;
  return place;
}

Place Place::OnDevice(const RopeTable& table, const at::Tensor& position, int64_t span) {
  Place place;
  place.rope_ = table.RowAt(position);
  place.span_ = span;
  place.position_ = position;
  const at::Tensor is_behind = at::arange(span, position.options()).gt(position);
  place.bias_ =
      at::zeros({1, 1, 1, span}, table.cos.options()).masked_fill_(is_behind, -std::numeric_limits<double>::infinity());
  return place;
}

void Place::Write(const at::Tensor& rows, const at::Tensor& cache) const {
  if (is_known_to_host()) {
    cache.narrow(2, span_ - tokens_, tokens_).copy_(rows);
  } else {
    at::Tensor(cache).index_copy_(2, position_, rows);
  }
}

}  // namespace dsocr::model
