#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "cupti/attribution/call_table.h"
#include "cupti/attribution/flat_map.h"
#include "cupti/attribution/operation_order.h"
#include "cupti/attribution/sparse_index.h"

namespace dsocr::attribution {
namespace {

TEST(CallTableTest, FindsCallsWhoseEntriesShareAPlace) {
  CallTable calls;
  constexpr uint64_t kApart = uint64_t{1} << 32;
  const CallSlot first = calls.Open(7);
  const CallSlot second = calls.Open(7 + kApart);
  const CallSlot third = calls.Open(7 + 2 * kApart);
  calls.Close(second);
  calls.ForgetOldest();
  EXPECT_EQ(calls.Find(7), first);
  EXPECT_EQ(calls.Find(7 + kApart), kNoCall);
  EXPECT_EQ(calls.Find(7 + 2 * kApart), third);
  EXPECT_EQ(calls.Open(8), second) << "slots are used again";
}

TEST(CallTableTest, ForgetsInOrderOfClosing) {
  CallTable calls;
  const CallSlot outer = calls.Open(1);
  const CallSlot inner = calls.Open(0);
  calls.Close(inner);
  calls.Close(outer);
  EXPECT_EQ(calls.oldest(), inner);
  calls.ForgetOldest();
  EXPECT_EQ(calls.oldest(), outer);
  EXPECT_EQ(calls.Find(1), outer);
  EXPECT_EQ(calls.Find(0), kNoCall);
}

TEST(FlatMapTest, IsAMapWhateverIsSetAndErased) {
  std::mt19937 random(5);
  FlatMap<int> map;
  std::map<uint64_t, int> expected;
  for (int i = 0; i < 20'000; ++i) {
    const uint64_t key = 1 + random() % 700;
    if (random() % 3 == 0) {
      map.Erase(key);
      expected.erase(key);
    } else {
      map.Set(key, i);
      expected[key] = i;
    }
  }
  EXPECT_EQ(map.size(), expected.size());
  for (uint64_t key = 1; key <= 700; ++key) {
    const int* value = map.Find(key);
    ASSERT_EQ(value != nullptr, expected.count(key) > 0) << key;
    ASSERT_TRUE(value == nullptr || *value == expected[key]) << key;
  }
}

TEST(SparseIndexTest, NumbersIdsInOrderOfFirstUse) {
  SparseIndex index;
  for (uint32_t i = 0; i < 1000; ++i) {
    EXPECT_EQ(index.At(i * 64 + 5), i);
  }
  EXPECT_EQ(index.At(5), 0u);
  EXPECT_EQ(index.At(999 * 64 + 5), 999u);
  EXPECT_EQ(index.size(), 1000u);
}

std::vector<int64_t> OrderOf(const std::vector<int64_t>& starts) {
  OperationOrder order;
  std::vector<int64_t> out;
  const auto sink = [&out](const OrderedOperation& operation) { out.push_back(operation.start_ns); };
  for (const int64_t start_ns : starts) {
    order.Add({.start_ns = start_ns, .end_ns = start_ns}, sink);
  }
  order.ReleaseUntil(int64_t{1} << 60, sink);
  return out;
}

TEST(OperationOrderTest, PutsInOrderWhatIsShuffledWithinTheWindow) {
  std::mt19937 random(9);
  std::vector<int64_t> starts(100'000);
  for (size_t i = 0; i < starts.size(); ++i) {
    starts[i] = 1'000'000 + static_cast<int64_t>(i) * 137;
  }
  for (size_t i = 0; i < starts.size(); i += 10'000) {
    std::shuffle(starts.begin() + static_cast<int64_t>(i), starts.begin() + static_cast<int64_t>(i) + 10'000, random);
  }
  const std::vector<int64_t> out = OrderOf(starts);
  EXPECT_EQ(out.size(), starts.size());
  EXPECT_TRUE(std::is_sorted(out.begin(), out.end()));
}

TEST(OperationOrderTest, TakesStartsAsFarApartAsTimesMayBe) {
  const int64_t middle_ns = int64_t{1} << 55;
  const int64_t most_ns = (int64_t{1} << 50) - 1;
  const std::vector<int64_t> out = OrderOf({middle_ns + most_ns, middle_ns, middle_ns - most_ns, middle_ns});
  EXPECT_EQ(out, (std::vector<int64_t>{middle_ns - most_ns, middle_ns, middle_ns, middle_ns + most_ns}));
}

TEST(OperationOrderTest, ReleasesUntilATimeAndNoFurther) {
  OperationOrder order;
  std::vector<int64_t> out;
  const auto sink = [&out](const OrderedOperation& operation) { out.push_back(operation.start_ns); };
  for (const int64_t start_ns : {30, 10, 20}) {
    order.Add({.start_ns = start_ns}, sink);
  }
  order.ReleaseUntil(20, sink);
  EXPECT_EQ(out, (std::vector<int64_t>{10, 20}));
}

}  // namespace
}  // namespace dsocr::attribution
