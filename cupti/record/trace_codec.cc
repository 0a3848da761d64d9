#include "cupti/record/trace_codec.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>

namespace dsocr::record {
namespace {

constexpr int kTableBits = 15;
constexpr size_t kTableSize = size_t{1} << kTableBits;

uint64_t Mix(uint64_t a, uint64_t b) {
  const uint64_t product = (a * 0x9e3779b97f4a7c15 + b + 1) * 0xd6e8feb86659fd93;
  return product ^ product >> 32;
}

// What is known by hashed keys, as much as there is room for: a new key takes the place of one of its four neighbours.
template <typename Value>
class Table {
 public:
  // A fresh value where the key is new.
  Value& Find(uint64_t key) {
    const size_t home = static_cast<size_t>(key * 0xff51afd7ed558ccd >> (64 - kTableBits));
    const uint32_t check = static_cast<uint32_t>(key) | 1;  // 0: empty
    size_t slot = home;
    for (size_t i = 0; i < kNeighbours; ++i) {
      slot = home ^ i;
      if (slots_[slot].check == check) {
        return slots_[slot].value;
      }
      if (slots_[slot].check == 0) {
        break;
      }
    }
    if (slots_[slot].check != 0) {
      slot = home ^ (++evicted_ % kNeighbours);
    }
    slots_[slot] = {check, Value()};
    return slots_[slot].value;
  }

 private:
  static constexpr size_t kNeighbours = 4;
  struct Slot {
    uint32_t check = 0;
    Value value;
  };
  std::vector<Slot> slots_ = std::vector<Slot>(kTableSize);
  size_t evicted_ = 0;
};

uint64_t ToZigzag(int64_t number) { return static_cast<uint64_t>(number) << 1 ^ static_cast<uint64_t>(number >> 63); }
uint64_t FromZigzag(uint64_t number) { return number >> 1 ^ (0 - (number & 1)); }

// --- A record in two parts: what repeats itself, and what is new each time

// Which words of a record hold a time, and so on.
enum class Shape { kPlain, kEvent, kLaunch, kOperation };

Shape ShapeOf(Kind kind) {
  switch (kind) {
    case Kind::kRangePush:
    case Kind::kRangePop:
    case Kind::kMemory:
      return Shape::kEvent;
    case Kind::kGraphLaunch:
      return Shape::kLaunch;
    case Kind::kCpuOperation:
    case Kind::kKernel:
    case Kind::kCopy:
    case Kind::kSet:
    case Kind::kWait:
    case Kind::kOverhead:
      return Shape::kOperation;
    default:
      return Shape::kPlain;
  }
}

struct Variables {
  uint64_t start = 0;
  uint64_t duration = 0;
  uint64_t entry = 0;
  uint32_t correlation = 0;
};

// Takes the variables out of `record`, which is its signature then. REQUIRES: it is not plain.
Variables TakeVariables(Record& record, Shape shape) {
  Variables variables;
  std::swap(variables.start, record.words[0]);
  uint64_t& owner = record.words[shape == Shape::kOperation ? 2 : 1];
  variables.entry = OwnerEntry(owner);
  owner &= ~kEntryMask;
  if (shape == Shape::kOperation) {
    variables.duration = record.words[1] - variables.start;
    record.words[1] = 0;
    std::swap(variables.correlation, record.operation.correlation);
  } else if (shape == Shape::kLaunch) {
    std::swap(variables.correlation, record.graph_launch.correlation);
  }
  return variables;
}

void PutVariables(Record& record, Shape shape, const Variables& variables) {
  record.words[0] = variables.start;
  record.words[shape == Shape::kOperation ? 2 : 1] |= variables.entry;
  if (shape == Shape::kOperation) {
    record.words[1] = variables.start + variables.duration;
    record.operation.correlation = variables.correlation;
  } else if (shape == Shape::kLaunch) {
    record.graph_launch.correlation = variables.correlation;
  }
}

// Records of one lane follow each other; those of different lanes come in between as it happens.
uint8_t LaneOf(const Record& record) {
  uint64_t key = record.thread;
  if (record.kind == Kind::kKernel || record.kind == Kind::kCopy || record.kind == Kind::kSet) {
    key = Mix(uint64_t{1} << 32 | record.operation.stream, uint64_t{record.device} << 32 | record.operation.context);
  } else if (record.kind >= Kind::kStatistics && record.kind != Kind::kGraphNode && record.kind != Kind::kGraphLaunch &&
             record.kind != Kind::kMemory) {
    key = Mix(uint64_t{2} << 32, static_cast<uint64_t>(record.kind));
  }
  return static_cast<uint8_t>(Mix(key, 0) >> 24);
}

// --- What is expected of a time

// A running mean of a duration or a gap, and how far from it they usually are.
class Expectation {
 public:
  int64_t mean() const { return mean_ >> kFraction; }
  // In 1/16 ns; 16 to 2^42.
  uint64_t distance() const { return static_cast<uint64_t>(std::max<int64_t>(distance_, 16)); }
  bool is_young() const { return seen_ < 3; }

  void Update(uint64_t value) {
    constexpr int64_t kFarthest = int64_t{1} << 36;  // 69 s: further off it is no jitter
    const int64_t near = std::clamp(static_cast<int64_t>(value), -kFarthest, kFarthest) * (1 << kFraction);
    const int64_t off = near - mean_;
    const int64_t distance = (off < 0 ? -off : off) >> (kFraction - 4);
    if (seen_ == 0) {
      mean_ = near;
      distance_ = distance / 8;  // of the value itself, which is a guess
      seen_ = 1;
      return;
    }
    seen_ = std::min(seen_ + 1, kMemory);
    mean_ += off * kShare[seen_] >> 16;
    distance_ += (distance - distance_) * kShare[seen_] >> 16;
  }

 private:
  static constexpr int kFraction = 8;
  // Of a decode step's kernels, 4 % less than by the last value alone, and within 0.2 % of twice or four times as many;
  // fewer follow kernels that grow with each token sooner.
  static constexpr int kMemory = 16;
  static constexpr std::array<int64_t, kMemory + 1> kShare = [] {
    std::array<int64_t, kMemory + 1> share{};  // 2^16 / n, a division saved for each time
    for (int n = 1; n <= kMemory; ++n) {
      share[n] = (1 << 16) / n;
    }
    return share;
  }();
  int64_t mean_ = 0;      // in 1/256 ns
  int64_t distance_ = 0;  // in 1/16 ns
  int seen_ = 0;
};

// Distances from what was expected: in steps of a quarter to a half of the usual distance, which are modelled, and
// within the step, which is not.
class TimeCoder {
 public:
  template <typename Coder>
  uint64_t Code(Coder& coder, uint64_t value, Expectation& expectation) {
    const uint64_t distance = expectation.distance();
    const int width = std::bit_width(distance);
    const int shift = std::max(width - 6, 0);
    const size_t phase = distance >> (width - 3) & 3;
    AdaptiveSymbol<kStepBits>& steps = steps_[expectation.is_young() ? 1 : 0][width][phase];

    const auto mean = static_cast<uint64_t>(expectation.mean());
    const auto off = static_cast<int64_t>(value - mean);
    const int64_t step = off >> shift;
    const bool is_near = step > -kSteps / 2 && step < kSteps / 2;
    const uint32_t symbol = steps.Code(coder, is_near ? static_cast<uint32_t>(step + kSteps / 2) : 0);
    if (symbol == 0) {  // beyond all steps
      value = mean + FromZigzag(far_.Code(coder, ToZigzag(off)));
    } else {
      value = mean + ((symbol - uint64_t{kSteps / 2}) << shift);
      for (int left = shift; left > 0;) {
        const int count = std::min(left, 16);
        left -= count;
        value += uint64_t{coder.Bits(count, static_cast<uint32_t>(off >> left) & ((1u << count) - 1))} << left;
      }
    }
    expectation.Update(value);
    return value;
  }

 private:
  static constexpr int kStepBits = 6;
  static constexpr int kSteps = 1 << kStepBits;
  static constexpr int kWidths = 46;  // of a distance
  AdaptiveSymbol<kStepBits> steps_[2][kWidths][4];
  AdaptiveNumber far_;
};

}  // namespace

// Everything that encoder and decoder know alike. Code() is both directions; see range_coder.h.
class TraceModel {
 public:
  template <typename Coder>
  void Code(Coder& coder, Record& record);

 private:
  // The last few records of a lane, as far as the next is expected from them.
  struct Lane {
    uint16_t last[3] = {};  // signatures, the latest first
    uint64_t time = 0;      // when the last one ended
    uint64_t entry = 0;
    uint32_t correlation = 0;
  };
  // What came next last time, and how often in a row it did.
  struct Follower {
    uint16_t value = 0;
    uint16_t confidence = 0;
  };
  // What is known of a signature after another.
  struct Place {
    Expectation gap;
    Expectation duration;
    uint64_t entry_step = 0;
    uint32_t correlation_step = 0;
  };
  static constexpr uint16_t kMaxConfidence = 7;

  static constexpr uint16_t kPlain = 0;  // in place of a signature's number: the record has none
  static constexpr uint16_t kNew = kTableSize;
  static constexpr int kWords = sizeof(Record) / 8;
  static constexpr size_t kKinds = 32;

  template <typename Coder>
  static bool CodeFollower(Coder& coder, const Follower& follower, AdaptiveBit* models, uint16_t& value);
  static void Learn(Follower& follower, uint16_t value);
  static uint64_t HashOf(const Record& signature);
  uint16_t NumberOf(const Record& signature, uint16_t guess) const;

  template <typename Coder>
  Lane& CodeLane(Coder& coder, const Record& record);
  template <typename Coder>
  uint16_t CodeSignature(Coder& coder, Lane& lane, Record& signature);
  template <typename Coder>
  void CodeLiteral(Coder& coder, Record& record);
  template <typename Coder>
  void CodeVariables(Coder& coder, Lane& lane, Place& place, Shape shape, const Record& signature,
                     Variables& variables);
  template <typename Coder>
  static uint64_t Stepped(Coder& coder, AdaptiveNumber& model, uint64_t value, uint64_t expected);

  std::array<Lane, 256> lanes_;
  uint8_t lane_ = 0;  // of the last record
  Table<Follower> next_lane_;
  AdaptiveBit is_next_lane_[kMaxConfidence + 1];
  AdaptiveSymbol<8> lane_number_;

  std::vector<Record> signatures_ = std::vector<Record>(kTableSize);  // from 1; the oldest goes first
  uint16_t newest_signature_ = 0;
  std::vector<uint16_t> index_ = std::vector<uint16_t>(kTableSize);  // by hash; only the encoder's is filled
  Table<Follower> after_three_;
  Table<Follower> after_one_;
  AdaptiveBit is_after_three_[kMaxConfidence + 1];
  AdaptiveBit is_after_one_[kMaxConfidence + 1];
  AdaptiveBit is_known_;
  AdaptiveSymbol<kTableBits> signature_number_;

  AdaptiveSymbol<8> literal_kind_;
  std::array<uint64_t, kWords> literals_[kKinds] = {};  // the last of each kind
  AdaptiveBit is_same_word_[kKinds][kWords];
  AdaptiveSymbol<8> literal_bytes_[256];  // by the byte before

  Table<Place> places_;
  TimeCoder gaps_[2];                                                    // before events, before operations
  TimeCoder durations_[2];                                               // on a device, on the host
  std::vector<uint64_t> path_entry_ = std::vector<uint64_t>(kMaxPaths);  // the latest entry of each
  AdaptiveBit is_entry_stepped_[2];
  AdaptiveBit is_entry_latest_;
  AdaptiveNumber entry_off_;
  AdaptiveBit is_correlation_stepped_;
  AdaptiveNumber correlation_off_;
};

// True: `value` is what followed last time.
template <typename Coder>
bool TraceModel::CodeFollower(Coder& coder, const Follower& follower, AdaptiveBit* models, uint16_t& value) {
  const bool is_hit = coder.Bit(models[follower.confidence], follower.value == value);
  if (is_hit) {
    value = follower.value;
  }
  return is_hit;
}

void TraceModel::Learn(Follower& follower, uint16_t value) {
  if (follower.value == value) {
    follower.confidence += follower.confidence < kMaxConfidence ? 1 : 0;
  } else if (follower.confidence > 1) {
    follower.confidence /= 2;
  } else {
    follower = {value, 1};
  }
}

uint64_t TraceModel::HashOf(const Record& signature) {
  uint64_t words[kWords];
  std::memcpy(words, &signature, sizeof(signature));
  uint64_t hash = 0;
  for (const uint64_t word : words) {
    hash = Mix(hash, word);
  }
  return hash;
}

template <typename Coder>
uint64_t TraceModel::Stepped(Coder& coder, AdaptiveNumber& model, uint64_t value, uint64_t expected) {
  return expected + FromZigzag(model.Code(coder, ToZigzag(static_cast<int64_t>(value - expected))));
}

template <typename Coder>
TraceModel::Lane& TraceModel::CodeLane(Coder& coder, const Record& record) {
  uint16_t number = Coder::kIsDecoder ? 0 : LaneOf(record);
  Follower& follower = next_lane_.Find(Mix(lane_, lanes_[lane_].last[0]));
  if (!CodeFollower(coder, follower, is_next_lane_, number)) {
    number = static_cast<uint16_t>(lane_number_.Code(coder, number));
  }
  Learn(follower, number);
  lane_ = static_cast<uint8_t>(number);
  return lanes_[lane_];
}

// A record that nothing foretells: what it differs by from the last one of its kind, and text as text.
template <typename Coder>
void TraceModel::CodeLiteral(Coder& coder, Record& record) {
  const uint32_t kind = literal_kind_.Code(coder, static_cast<uint32_t>(record.kind));
  const bool is_text =
      kind == static_cast<uint32_t>(Kind::kNameDefinition) || kind == static_cast<uint32_t>(Kind::kThread);
  uint64_t words[kWords];
  std::memcpy(words, &record, sizeof(record));
  std::array<uint64_t, kWords>& before = literals_[kind % kKinds];
  uint32_t last_byte = 0;
  for (int i = 0; i < kWords; ++i) {
    const uint64_t expected = is_text && i >= 2 ? 0 : before[i];
    if (coder.Bit(is_same_word_[kind % kKinds][i], words[i] == expected)) {
      words[i] = expected;
      continue;
    }
    const uint64_t off = words[i] - expected;
    words[i] = expected;
    for (int shift = 0; shift < 64; shift += 8) {
      last_byte = literal_bytes_[last_byte].Code(coder, static_cast<uint32_t>(off >> shift & 0xff));
      words[i] += uint64_t{last_byte} << shift;
    }
  }
  std::copy(words, words + kWords, before.begin());
  std::memcpy(&record, words, sizeof(record));
}

// The signature's number; 0: the record is plain.
template <typename Coder>
uint16_t TraceModel::CodeSignature(Coder& coder, Lane& lane, Record& signature) {
  const uint64_t one = Mix(1, lane.last[0]);
  const uint64_t three = Mix(Mix(one, lane.last[1]), lane.last[2]);
  Follower& after_three = after_three_.Find(three);
  Follower& after_one = after_one_.Find(one);

  uint16_t number = kPlain;
  if (!Coder::kIsDecoder && ShapeOf(signature.kind) != Shape::kPlain) {
    number = NumberOf(signature, after_three.value);
  }
  if (!CodeFollower(coder, after_three, is_after_three_, number) &&
      !CodeFollower(coder, after_one, is_after_one_, number)) {
    if (coder.Bit(is_known_, number != kNew)) {
      number = static_cast<uint16_t>(signature_number_.Code(coder, number));
    } else {
      CodeLiteral(coder, signature);
      number = newest_signature_ = static_cast<uint16_t>(newest_signature_ % (kTableSize - 1) + 1);
      signatures_[number] = signature;
      if (!Coder::kIsDecoder) {
        index_[HashOf(signature) % kTableSize] = number;
      }
    }
  }
  if (number == kPlain) {
    CodeLiteral(coder, signature);
  } else {
    signature = signatures_[number];
  }
  Learn(after_three, number);
  Learn(after_one, number);
  return number;
}

// kNew: it has none yet. `guess`: worth looking at first.
uint16_t TraceModel::NumberOf(const Record& signature, uint16_t guess) const {
  const auto is = [&](uint16_t number) {
    return number != kPlain && std::memcmp(&signatures_[number], &signature, sizeof(signature)) == 0;
  };
  if (is(guess)) {
    return guess;
  }
  const uint16_t number = index_[HashOf(signature) % kTableSize];
  return is(number) ? number : kNew;
}

template <typename Coder>
void TraceModel::CodeVariables(Coder& coder, Lane& lane, Place& place, Shape shape, const Record& signature,
                               Variables& variables) {
  const size_t is_operation = shape == Shape::kOperation ? 1 : 0;
  variables.start = lane.time + gaps_[is_operation].Code(coder, variables.start - lane.time, place.gap);
  if (is_operation != 0) {
    const size_t is_host = signature.kind == Kind::kCpuOperation ? 1 : 0;
    variables.duration = durations_[is_host].Code(coder, variables.duration, place.duration);
  }
  lane.time = variables.start + variables.duration;

  // The path's call is still the one that it was, or the lane goes on to another as it did last time.
  const PathId path = OwnerPath(signature.words[is_operation != 0 ? 2 : 1]) % kMaxPaths;
  const bool is_push = signature.kind == Kind::kRangePush;
  const uint64_t stepped = (lane.entry + place.entry_step) & kEntryMask;
  uint64_t& latest = path_entry_[path];
  if (coder.Bit(is_entry_stepped_[is_push ? 1 : 0], variables.entry == stepped)) {
    variables.entry = stepped;
  } else if (coder.Bit(is_entry_latest_, variables.entry == latest)) {
    variables.entry = latest;
  } else {
    variables.entry = Stepped(coder, entry_off_, variables.entry, stepped) & kEntryMask;
  }
  place.entry_step = variables.entry - lane.entry;
  lane.entry = latest = variables.entry;

  if (shape != Shape::kEvent) {
    const uint32_t stepped_correlation = lane.correlation + place.correlation_step;
    if (coder.Bit(is_correlation_stepped_, variables.correlation == stepped_correlation)) {
      variables.correlation = stepped_correlation;
    } else {
      variables.correlation =
          static_cast<uint32_t>(Stepped(coder, correlation_off_, variables.correlation, stepped_correlation));
    }
    place.correlation_step = variables.correlation - lane.correlation;
    lane.correlation = variables.correlation;
  }
}

template <typename Coder>
void TraceModel::Code(Coder& coder, Record& record) {
  Lane& lane = CodeLane(coder, record);
  const uint16_t before = lane.last[0];
  Shape shape = ShapeOf(record.kind);
  Variables variables;
  if (!Coder::kIsDecoder && shape != Shape::kPlain) {
    variables = TakeVariables(record, shape);
  }
  const uint16_t signature = CodeSignature(coder, lane, record);
  lane.last[2] = lane.last[1];
  lane.last[1] = lane.last[0];
  lane.last[0] = signature;
  if (signature == kPlain) {
    return;
  }
  Place& place = places_.Find(Mix(signature, before));
  shape = ShapeOf(record.kind);
  CodeVariables(coder, lane, place, shape, record, variables);
  PutVariables(record, shape, variables);
}

TraceEncoder::TraceEncoder() : model_(std::make_unique<TraceModel>()) {}
TraceEncoder::~TraceEncoder() = default;

void TraceEncoder::Add(const Record& record) {
  if (is_finished_) {
    coder_.Clear();
    is_finished_ = false;
  }
  Record coded = record;
  model_->Code(coder_, coded);
}

const std::vector<uint8_t>& TraceEncoder::Finish() {
  if (!is_finished_) {
    coder_.Finish();
    is_finished_ = true;
  }
  return coder_.bytes();
}

TraceDecoder::TraceDecoder() : model_(std::make_unique<TraceModel>()) {}
TraceDecoder::~TraceDecoder() = default;

bool TraceDecoder::Decode(const uint8_t* bytes, size_t size, size_t count, Record* records) {
  RangeDecoder coder(bytes, size);
  for (size_t i = 0; i < count; ++i) {
    records[i] = Record{};
    model_->Code(coder, records[i]);
    if (coder.overrun()) {
      return false;
    }
  }
  return true;
}

}  // namespace dsocr::record
