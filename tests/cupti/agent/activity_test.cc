#include "cupti/agent/activity.h"

#include <cupti_activity_deprecated.h>
#include <gtest/gtest.h>

#include <cstring>

namespace dsocr::agent {
namespace {

template <typename Layout>
Activity Read(const Layout& record, size_t bytes = sizeof(Layout)) {
  alignas(8) unsigned char buffer[sizeof(Layout) + 64];
  std::memset(buffer, 0xee, sizeof(buffer));  // what lies behind a record is not its own
  std::memcpy(buffer, &record, sizeof(record));
  return ReadActivity(reinterpret_cast<const CUpti_Activity*>(buffer), bytes);
}

template <typename Kernel>
class EveryKernelLayout : public ::testing::Test {};
using KernelLayouts = ::testing::Types<CUpti_ActivityKernel8, CUpti_ActivityKernel9, CUpti_ActivityKernel10>;
TYPED_TEST_SUITE(EveryKernelLayout, KernelLayouts);

TYPED_TEST(EveryKernelLayout, IsReadTheSame) {
  TypeParam kernel{};
  kernel.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
  kernel.start = 1000;
  kernel.end = 1250;
  kernel.deviceId = 3;
  kernel.contextId = 5;
  kernel.streamId = 7;
  kernel.correlationId = 99;
  kernel.graphId = 11;
  kernel.graphNodeId = (uint64_t{11} << 32) + 4;
  kernel.name = "gemm";
  const Activity activity = Read(kernel);
  EXPECT_EQ(activity.type, Activity::Type::kKernel);
  EXPECT_EQ(activity.start_ns, 1000u);
  EXPECT_EQ(activity.end_ns, 1250u);
  EXPECT_EQ(activity.device, 3);
  EXPECT_EQ(activity.context, 5u);
  EXPECT_EQ(activity.stream, 7u);
  EXPECT_EQ(activity.correlation, 99u);
  EXPECT_EQ(activity.graph, 11u);
  EXPECT_EQ(activity.node, (uint64_t{11} << 32) + 4);
  EXPECT_STREQ(activity.name, "gemm");
}

template <typename Copy>
class EveryCopyLayout : public ::testing::Test {};
using CopyLayouts = ::testing::Types<CUpti_ActivityMemcpy5, CUpti_ActivityMemcpy6>;
TYPED_TEST_SUITE(EveryCopyLayout, CopyLayouts);

TYPED_TEST(EveryCopyLayout, HasBytesAndDirection) {
  TypeParam copy{};
  copy.kind = CUPTI_ACTIVITY_KIND_MEMCPY;
  copy.copyKind = CUPTI_ACTIVITY_MEMCPY_KIND_DTOH;
  copy.bytes = 4096;
  copy.correlationId = 8;
  const Activity activity = Read(copy);
  EXPECT_EQ(activity.type, Activity::Type::kCopy);
  EXPECT_EQ(activity.detail, 4096u);
  EXPECT_STREQ(activity.name, "memcpy DtoH");
}

TEST(Activity, ALongerRecordHasWhatWeKnowInFront) {
  CUpti_ActivityKernel10 kernel{};
  kernel.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
  kernel.end = 77;
  const Activity activity = Read(kernel, sizeof(kernel) + 40);
  EXPECT_EQ(activity.type, Activity::Type::kKernel);
  EXPECT_EQ(activity.end_ns, 77u);
}

TEST(Activity, ACutRecordIsNotRead) {
  CUpti_ActivityKernel10 kernel{};
  kernel.kind = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;
  EXPECT_EQ(Read(kernel, sizeof(CUpti_ActivityKernel8) - 8).type, Activity::Type::kTruncated);
  EXPECT_EQ(Read(kernel, 2).type, Activity::Type::kTruncated);
}

TEST(Activity, AKindOfLaterVersionsIsUnknownAndOneOfOthersIsNot) {
  CUpti_Activity activity{};
  activity.kind = static_cast<CUpti_ActivityKind>(CUPTI_ACTIVITY_KIND_COUNT + 5);
  EXPECT_EQ(Read(activity).type, Activity::Type::kUnknown);
  EXPECT_EQ(Read(activity).subtype, static_cast<uint32_t>(CUPTI_ACTIVITY_KIND_COUNT + 5));
  activity.kind = CUPTI_ACTIVITY_KIND_RUNTIME;
  EXPECT_EQ(Read(activity).type, Activity::Type::kOther);
}

TEST(Activity, AStreamThatWaitsIsNotTheHost) {
  CUpti_ActivitySynchronization2 wait{};
  wait.kind = CUPTI_ACTIVITY_KIND_SYNCHRONIZATION;
  wait.type = CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_WAIT_EVENT;
  EXPECT_EQ(Read(wait).type, Activity::Type::kOther);
  wait.type = CUPTI_ACTIVITY_SYNCHRONIZATION_TYPE_STREAM_SYNCHRONIZE;
  EXPECT_EQ(Read(wait).type, Activity::Type::kWait);
}

TEST(Activity, MemoryOfTheHostIsNotTheDevices) {
  CUpti_ActivityMemory4 memory{};
  memory.kind = CUPTI_ACTIVITY_KIND_MEMORY2;
  memory.memoryKind = CUPTI_ACTIVITY_MEMORY_KIND_PINNED;
  EXPECT_EQ(Read(memory).type, Activity::Type::kOther);
  memory.memoryKind = CUPTI_ACTIVITY_MEMORY_KIND_DEVICE;
  memory.memoryOperationType = CUPTI_ACTIVITY_MEMORY_OPERATION_TYPE_RELEASE;
  memory.bytes = 512;
  EXPECT_EQ(Read(memory).type, Activity::Type::kMemory);
  EXPECT_TRUE(Read(memory).is_release);
  EXPECT_EQ(Read(memory).detail, 512u);
}

}  // namespace
}  // namespace dsocr::agent
