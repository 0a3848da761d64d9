#include "daemon/attach/place_operators.h"

#include <algorithm>
#include <cstddef>
#include <optional>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "daemon/attach/operator_alignment.h"
#include "daemon/attach/operator_call.h"

namespace dsocr::attach {
namespace {

using record::Record;

constexpr size_t kMaxStretch = 1 << 18;  // operators; a longer one is not aligned
constexpr int kMaxSymbols = 1 << 12;
constexpr size_t kRememberedOperators = size_t{1} << 20;  // of stretches: 32 MiB
constexpr int64_t kMaxPassTokens = 1 << 20;

// An operator that cannot be taken for another, and where it stands.
struct Landmark {
  StageIndex stage = StageIndex::kVision;
  size_t place = 0;

  bool operator==(const Landmark&) const = default;
};

// What repeats: from which landmark to which, through what.
struct StretchKey {
  std::vector<int> symbols;
  std::vector<int> ends;

  bool operator==(const StretchKey&) const = default;
  template <typename H>
  friend H AbslHashValue(H h, const StretchKey& key) {
    return H::combine(std::move(h), key.symbols, key.ends);
  }
};

struct CallingThread {
  std::vector<Record> stretch;  // operations since the last landmark, that included
  std::vector<int> symbols;
  std::optional<Landmark> left;
  PassNumbers pass;
  std::optional<ObservedRequest> request;
  int64_t tokens = 0;  // of the pass of the language model under way
};

// A stretch's places, those of what goes on first, the right landmark's not included.
struct Stretch {
  std::vector<AlignmentPlace> places;
  size_t of_left = 0;  // so many belong to the left landmark's pass
};

}  // namespace

struct OperatorPlacer::State {
  State(const analytic::ModelSpec& model, const ExpectedCalls& calls, Sink to)
      : expected(calls), sink(std::move(to)), fits(expected.kinds.size()) {
    patch_embed = LandmarkOf(StageIndex::kVision, WeightKind::kConvolution);
    projection = LandmarkOf(StageIndex::kProjector, WeightKind::kProduct);
    embed_tokens = LandmarkOf(StageIndex::kPrefill, WeightKind::kTable);
    lm_head =
        LandmarkOf(StageIndex::kPrefill, WeightKind::kProduct, {model.decoder.hidden_size, model.decoder.vocab_size});
  }

  struct Known {
    Landmark landmark;
    Weight weight;
  };
  // The stage's first place with a weight of this kind, of these sizes.
  Known LandmarkOf(StageIndex stage, WeightKind kind, std::pair<int64_t, int64_t> sizes = {}) const {
    const std::vector<AlignmentPlace>& places = expected.Of(stage);
    for (size_t i = 0; i < places.size(); ++i) {
      for (const Weight& weight : expected.kinds[static_cast<size_t>(places[i].kind)].weights) {
        if (weight.kind == kind && (sizes.first == 0 || sizes == std::pair(weight.in, weight.out))) {
          return {{stage, i}, weight};
        }
      }
    }
    return {};
  }

  int SymbolOf(record::NameId name, std::string_view text, const Weight& weight);
  std::optional<Landmark> FindLandmark(const CallingThread& thread, const OperatorCall& call) const;
  void Observe(CallingThread& thread, const Landmark& landmark, const OperatorCall& call);
  bool BeginsRequest(const CallingThread& thread, const Landmark& landmark) const {
    const bool is_in_vision = thread.left && thread.left->stage <= StageIndex::kProjector;
    return !is_in_vision && (landmark.stage == StageIndex::kVision || landmark == embed_tokens.landmark);
  }
  void EndRequest(CallingThread& thread);

  Stretch PlacesBetween(const Landmark& left, const std::optional<Landmark>& right) const;
  const std::vector<AlignedOperator>& Align(const CallingThread& thread, const std::optional<Landmark>& right,
                                            const Stretch& stretch);
  void EndStretch(CallingThread& thread, const std::optional<Landmark>& right);

  const ExpectedCalls& expected;
  const Sink sink;
  absl::flat_hash_map<std::pair<record::NameId, int>, int> symbol_of;  // by name and weight
  std::map<Weight, int> weights;
  std::vector<std::vector<double>> fits;  // [kind][symbol]
  int symbols = 0;
  absl::flat_hash_map<StretchKey, std::vector<AlignedOperator>> known;
  size_t known_operators = 0;
  std::map<uint32_t, CallingThread> threads;  // by number
  uint64_t passes = 0;
  uint64_t requests = 0;
  Known patch_embed, projection, embed_tokens, lm_head;
  std::map<ObservedRequest, int64_t> observed;
};

// --- What an operator is
// --------------------------------------------------------------------------------------------------------------

// The number of what fits alike; one too many is taken for the first.
int OperatorPlacer::State::SymbolOf(record::NameId name, std::string_view text, const Weight& weight) {
  const int weight_number = weights.try_emplace(weight, static_cast<int>(weights.size())).first->second;
  const auto [symbol, is_new] = symbol_of.try_emplace({name, weight_number}, symbols);
  if (is_new && symbols < kMaxSymbols) {
    ++symbols;
    for (size_t kind = 0; kind < fits.size(); ++kind) {
      fits[kind].push_back(FitOf(expected.kinds[kind], text, weight));
    }
  }
  return symbol->second < kMaxSymbols ? symbol->second : 0;
}

std::optional<Landmark> OperatorPlacer::State::FindLandmark(const CallingThread& thread,
                                                            const OperatorCall& call) const {
  for (const Known* landmark : {&patch_embed, &projection, &embed_tokens}) {
    if (call.weight == landmark->weight) {
      const bool is_decode = landmark == &embed_tokens && call.size == 1;
      return Landmark{is_decode ? StageIndex::kDecode : landmark->landmark.stage, landmark->landmark.place};
    }
  }
  if (call.weight == lm_head.weight) {
    const bool is_decode = thread.left && thread.left->stage == StageIndex::kDecode;
    // Prefill has one place more: where the image's rows are put in.
    const auto shift = static_cast<std::ptrdiff_t>(expected.Of(StageIndex::kDecode).size()) -
                       static_cast<std::ptrdiff_t>(expected.Of(StageIndex::kPrefill).size());
    return is_decode ? Landmark{StageIndex::kDecode,
                                static_cast<size_t>(static_cast<std::ptrdiff_t>(lm_head.landmark.place) + shift)}
                     : lm_head.landmark;
  }
  return std::nullopt;
}

// --- Requests
// -------------------------------------------------------------------------------------------------------------------------

void OperatorPlacer::State::EndRequest(CallingThread& thread) {
  if (!thread.request) {
    return;
  }
  if (observed.size() < Observation::kMaxDistinct || observed.count(*thread.request) > 0) {
    ++observed[*thread.request];
  }
  thread.request.reset();
}

// Only a pass that is over is one of its request.
void OperatorPlacer::State::Observe(CallingThread& thread, const Landmark& landmark, const OperatorCall& call) {
  const bool begins_pass = call.weight == embed_tokens.weight;
  if (BeginsRequest(thread, landmark)) {
    EndRequest(thread);
    thread.pass.request = ++requests;
  }
  if (!thread.request) {
    thread.request.emplace();
  }
  if (landmark.stage == StageIndex::kVision && thread.request->views.size() < Observation::kMaxViews) {
    thread.request->views.push_back({.batch = call.batch, .side = call.size});
  }
  if (begins_pass) {
    thread.tokens = call.size <= kMaxPassTokens ? call.size : 0;
    thread.request->batch = std::max<int64_t>(1, call.batch);
  } else if (call.weight == lm_head.weight && thread.tokens > 0) {
    (landmark.stage == StageIndex::kDecode ? thread.request->steps : thread.request->seq_len) +=
        landmark.stage == StageIndex::kDecode ? 1 : thread.tokens;
    thread.tokens = 0;
  }
  thread.pass.run = call.weight == lm_head.weight ? thread.pass.run : ++passes;
}

// --- Alignment
// ------------------------------------------------------------------------------------------------------------------------

Stretch OperatorPlacer::State::PlacesBetween(const Landmark& left, const std::optional<Landmark>& right) const {
  const std::vector<AlignmentPlace>& begun = expected.Of(left.stage);
  const auto at = [](const std::vector<AlignmentPlace>& places, size_t i) {
    return places.begin() + static_cast<std::ptrdiff_t>(i);
  };
  Stretch stretch;
  if (right && right->stage == left.stage && right->place > left.place) {
    stretch.places.assign(at(begun, left.place), at(begun, right->place));
    stretch.of_left = stretch.places.size();
    return stretch;
  }
  stretch.places.assign(at(begun, left.place), begun.end());
  stretch.of_left = stretch.places.size();
  stretch.places.push_back({.modules = {}, .kind = 0, .stay = 0.8, .skip = 1});
  if (right) {
    const std::vector<AlignmentPlace>& next = expected.Of(right->stage);
    stretch.places.insert(stretch.places.end(), next.begin(), at(next, right->place));
  }
  return stretch;
}

const std::vector<AlignedOperator>& OperatorPlacer::State::Align(const CallingThread& thread,
                                                                 const std::optional<Landmark>& right,
                                                                 const Stretch& stretch) {
  StretchKey key{.symbols = thread.symbols,
                 .ends = {static_cast<int>(thread.left->stage), static_cast<int>(thread.left->place)}};
  if (right) {
    key.ends.insert(key.ends.end(), {static_cast<int>(right->stage), static_cast<int>(right->place)});
  }
  if (const auto found = known.find(key); found != known.end()) {
    return found->second;
  }
  if (known_operators + key.symbols.size() > kRememberedOperators) {
    known.clear();
    known_operators = 0;
  }
  known_operators += key.symbols.size();
  return known[std::move(key)] =
             AlignOperators(thread.symbols, stretch.places, fits, right ? AlignmentEnd::kWhole : AlignmentEnd::kCut);
}

void OperatorPlacer::State::EndStretch(CallingThread& thread, const std::optional<Landmark>& right) {
  if (!thread.stretch.empty()) {
    const Stretch stretch = PlacesBetween(*thread.left, right);
    // As Observe will count.
    const PassNumbers next{right && BeginsRequest(thread, *right) ? requests + 1 : thread.pass.request, passes + 1};
    const std::vector<AlignedOperator>& aligned = Align(thread, right, stretch);
    for (size_t i = 0; i < aligned.size(); ++i) {
      const auto place = static_cast<size_t>(aligned[i].place);
      sink({.operation = thread.stretch[i],
            .place = &stretch.places[place],
            .depth = aligned[i].depth,
            .confidence = aligned[i].confidence,
            .pass = place < stretch.of_left ? thread.pass : next});
    }
  }
  thread.stretch.clear();
  thread.symbols.clear();
}

OperatorPlacer::OperatorPlacer(const analytic::ModelSpec& model, const ExpectedCalls& expected, Sink sink)
    : state_(std::make_unique<State>(model, expected, std::move(sink))) {}
OperatorPlacer::~OperatorPlacer() = default;

void OperatorPlacer::Consume(const Record& operation, std::string_view name, const record::OperatorShape* shape) {
  CallingThread& thread = state_->threads[operation.thread];
  const OperatorCall call = CallOf(name, shape);
  if (const std::optional<Landmark> landmark = state_->FindLandmark(thread, call)) {
    state_->EndStretch(thread, landmark);
    state_->Observe(thread, *landmark, call);
    thread.left = landmark;
  } else if (thread.stretch.size() == kMaxStretch) {
    state_->EndStretch(thread, std::nullopt);
    thread.left.reset();
  }
  if (thread.left) {
    thread.stretch.push_back(operation);
    thread.symbols.push_back(state_->SymbolOf(operation.operation.name, name, call.weight));
  } else {
    state_->sink({.operation = operation});
  }
}

void OperatorPlacer::EndThread(uint32_t number) {
  if (const auto thread = state_->threads.find(number); thread != state_->threads.end()) {
    state_->EndStretch(thread->second, std::nullopt);
    state_->EndRequest(thread->second);
    state_->threads.erase(thread);
  }
}

std::map<ObservedRequest, int64_t> OperatorPlacer::TakeRequests() { return std::move(state_->observed); }

}  // namespace dsocr::attach
