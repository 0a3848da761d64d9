// The fake itself: a small client of it in this process.
#include <cupti.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "tests/fake/fake_gpu.h"

namespace {

using ::testing::Each;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

// A record, as far as the tests look at it.
struct Seen {
  CUpti_ActivityKind kind;
  uint32_t correlation = 0;
  uint64_t start = 0;
  uint64_t end = 0;
  uint32_t stream = 0;
  uint32_t graph = 0;
  uint64_t node = 0;
  uint64_t value = 0;  // external id, bytes
  std::string name;
};

struct Call {
  CUpti_CallbackDomain domain;
  CUpti_CallbackId id;
  CUpti_ApiCallbackSite site = CUPTI_API_ENTER;
  uint32_t correlation = 0;
  uint32_t stream = 0;  // of a kernel launch
  int result = 0;
  uint64_t node = 0;  // of a resource callback
  uint64_t original_node = 0;
  uint32_t graph = 0;
};

constexpr CUpti_ActivityKind kKernel = CUPTI_ACTIVITY_KIND_CONCURRENT_KERNEL;

// One client of CUPTI; there is one at a time.
class FakeCuptiTest : public ::testing::Test {
 protected:
  void SetUp() override {
    client = this;
    fake_gpu_deliver();  // what an earlier test left
    size_t dropped = 0;
    cuptiActivityGetNumDroppedRecords(nullptr, 0, &dropped);
    ASSERT_EQ(cuptiActivityRegisterCallbacks(OnRequest, OnComplete), CUPTI_SUCCESS);
  }
  void TearDown() override {
    cuptiFinalize();
    cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED);
    client = nullptr;
  }

  void Enable(std::initializer_list<CUpti_ActivityKind> kinds) {
    for (const CUpti_ActivityKind kind : kinds) {
      ASSERT_EQ(cuptiActivityEnable(kind), CUPTI_SUCCESS);
    }
  }

  void Subscribe() {
    ASSERT_EQ(cuptiSubscribe(&subscriber, OnCallback, nullptr), CUPTI_SUCCESS);
    for (const CUpti_CallbackDomain domain :
         {CUPTI_CB_DOMAIN_DRIVER_API, CUPTI_CB_DOMAIN_RUNTIME_API, CUPTI_CB_DOMAIN_RESOURCE}) {
      ASSERT_EQ(cuptiEnableDomain(1, subscriber, domain), CUPTI_SUCCESS);
    }
  }

  void Launch(const char* name, int64_t duration_ns = 10, fake_gpu_api api = FAKE_GPU_DRIVER) {
    EXPECT_EQ(fake_gpu_launch(fake_gpu_function(name), duration_ns, stream, api), 0);
  }

  // All that was recorded, once the device has done its work.
  std::vector<Seen> Flush() {
    fake_gpu_synchronize(stream);
    EXPECT_EQ(cuptiActivityFlushAll(0), CUPTI_SUCCESS);
    const std::lock_guard<std::mutex> lock(mutex);
    return std::exchange(seen, {});
  }

  static size_t Dropped() {
    size_t dropped = 0;
    EXPECT_EQ(cuptiActivityGetNumDroppedRecords(nullptr, 0, &dropped), CUPTI_SUCCESS);
    return dropped;
  }

  static void Arm(const char* fault) { EXPECT_EQ(fake_gpu_fault(fault), nullptr); }

  std::vector<Call> CallsOf(CUpti_CallbackDomain domain) const {
    std::vector<Call> found;
    std::copy_if(calls.begin(), calls.end(), std::back_inserter(found),
                 [domain](const Call& call) { return call.domain == domain; });
    return found;
  }

  size_t buffer_bytes = 1 << 16;
  fake_gpu_stream_t stream = fake_gpu_stream(1, 7);
  CUpti_SubscriberHandle subscriber = nullptr;
  std::mutex mutex;  // guards what follows
  std::vector<Seen> seen;
  std::vector<size_t> completed_bytes;
  int broken_buffers = 0;
  std::vector<Call> calls;  // of the test's thread

 private:
  static void CUPTIAPI OnRequest(uint8_t** buffer, size_t* size, size_t* max_records) {
    *size = client == nullptr ? 0 : client->buffer_bytes;
    *buffer = client == nullptr ? nullptr : static_cast<uint8_t*>(std::aligned_alloc(8, *size));
    *max_records = 0;
  }

  static void CUPTIAPI OnComplete(CUcontext, uint32_t, uint8_t* buffer, size_t, size_t valid_bytes) {
    if (client != nullptr) {
      const std::lock_guard<std::mutex> lock(client->mutex);
      client->completed_bytes.push_back(valid_bytes);
      CUpti_Activity* activity = nullptr;
      CUptiResult result = CUPTI_SUCCESS;
      while ((result = cuptiActivityGetNextRecord(buffer, valid_bytes, &activity)) == CUPTI_SUCCESS) {
        client->See(activity);
      }
      client->broken_buffers += result != CUPTI_ERROR_MAX_LIMIT_REACHED;
    }
    std::free(buffer);
  }

  template <typename Activity>
  Seen SeeOperation(const CUpti_Activity* activity) {
    const auto& operation = *reinterpret_cast<const Activity*>(activity);
    return {operation.kind,     operation.correlationId, operation.start,       operation.end,
            operation.streamId, operation.graphId,       operation.graphNodeId, 0};
  }

  void See(const CUpti_Activity* activity) {
    Seen record{activity->kind};
    if (activity->kind == kKernel) {
      record = SeeOperation<CUpti_ActivityKernel10>(activity);
      record.name = reinterpret_cast<const CUpti_ActivityKernel10*>(activity)->name;
    } else if (activity->kind == CUPTI_ACTIVITY_KIND_MEMCPY) {
      record = SeeOperation<CUpti_ActivityMemcpy6>(activity);
      record.value = reinterpret_cast<const CUpti_ActivityMemcpy6*>(activity)->bytes;
    } else if (activity->kind == CUPTI_ACTIVITY_KIND_MEMSET) {
      record = SeeOperation<CUpti_ActivityMemset4>(activity);
    } else if (activity->kind == CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION) {
      const auto& external = *reinterpret_cast<const CUpti_ActivityExternalCorrelation*>(activity);
      record.correlation = external.correlationId;
      record.value = external.externalId;
    } else if (activity->kind == CUPTI_ACTIVITY_KIND_DRIVER || activity->kind == CUPTI_ACTIVITY_KIND_RUNTIME) {
      record.correlation = reinterpret_cast<const CUpti_ActivityAPI*>(activity)->correlationId;
    } else if (activity->kind == CUPTI_ACTIVITY_KIND_MEMORY2) {
      record.value = reinterpret_cast<const CUpti_ActivityMemory4*>(activity)->bytes;
    }
    seen.push_back(record);
  }

  static void CUPTIAPI OnCallback(void*, CUpti_CallbackDomain domain, CUpti_CallbackId id, const void* data) {
    Call call{domain, id};
    if (domain == CUPTI_CB_DOMAIN_RESOURCE) {
      const auto& graph =
          *static_cast<const CUpti_GraphData*>(static_cast<const CUpti_ResourceData*>(data)->resourceDescriptor);
      cuptiGetGraphNodeId(graph.node, &call.node);
      cuptiGetGraphNodeId(graph.originalNode, &call.original_node);
      cuptiGetGraphId(graph.graph, &call.graph);
    } else {
      const auto& api = *static_cast<const CUpti_CallbackData*>(data);
      call.site = api.callbackSite;
      call.correlation = api.correlationId;
      call.result = *static_cast<const int*>(api.functionReturnValue);
      if (domain == CUPTI_CB_DOMAIN_DRIVER_API && id == CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel) {
        const auto& params = *static_cast<const cuLaunchKernel_params*>(api.functionParams);
        EXPECT_EQ(cuptiGetStreamIdEx(api.context, params.hStream, 0, &call.stream), CUPTI_SUCCESS);
      }
    }
    client->calls.push_back(call);
  }

  static FakeCuptiTest* client;
};

FakeCuptiTest* FakeCuptiTest::client = nullptr;

TEST_F(FakeCuptiTest, RecordsEveryKernelOfAThousandLaunchesOneAfterTheOther) {
  Enable({kKernel});
  for (int i = 0; i < 1000; ++i) {
    Launch("k", 100);
  }
  const std::vector<Seen> records = Flush();
  ASSERT_EQ(records.size(), 1000u);
  for (size_t i = 1; i < records.size(); ++i) {
    EXPECT_EQ(records[i].correlation, records[i - 1].correlation + 1);
    EXPECT_GE(records[i].start, records[i - 1].end);
    EXPECT_EQ(records[i].end - records[i].start, 100u);
  }
  EXPECT_EQ(Dropped(), 0u);
}

TEST_F(FakeCuptiTest, RecordsNothingThatIsNotEnabled) {
  Enable({CUPTI_ACTIVITY_KIND_MEMSET});
  Launch("k");
  fake_gpu_set(1, 10, stream);
  EXPECT_EQ(Flush().size(), 1u);
}

TEST_F(FakeCuptiTest, WritesExternalIdsBesideApiRecordsOnly) {
  Enable({kKernel, CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION});
  cuptiActivityPushExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM2, 41);
  cuptiActivityPushExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM2, 42);
  Launch("k");
  EXPECT_EQ(Flush().size(), 1u) << "the kernel alone";
  ASSERT_EQ(cuptiActivityEnableDriverApi(CUPTI_DRIVER_TRACE_CBID_cuLaunchKernel, 1), CUPTI_SUCCESS);
  Launch("k");
  const std::vector<Seen> records = Flush();
  uint64_t last = 0;
  EXPECT_EQ(cuptiActivityPopExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM2, &last), CUPTI_SUCCESS);
  EXPECT_EQ(cuptiActivityPopExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM2, nullptr), CUPTI_SUCCESS);
  EXPECT_EQ(cuptiActivityPopExternalCorrelationId(CUPTI_EXTERNAL_CORRELATION_KIND_CUSTOM2, &last),
            CUPTI_ERROR_QUEUE_EMPTY);
  EXPECT_EQ(last, 42u);
  ASSERT_EQ(records.size(), 3u);
  const auto external = std::find_if(records.begin(), records.end(), [](const Seen& record) {
    return record.kind == CUPTI_ACTIVITY_KIND_EXTERNAL_CORRELATION;
  });
  ASSERT_LT(external + 1, records.end());
  EXPECT_EQ(external->value, 42u) << "the innermost";
  EXPECT_EQ((external + 1)->kind, CUPTI_ACTIVITY_KIND_DRIVER) << "it precedes the API record";
  EXPECT_EQ((external + 1)->correlation, external->correlation);
}

TEST_F(FakeCuptiTest, TellsOfARuntimeLaunchAndTheDriverLaunchInsideIt) {
  Subscribe();
  Launch("k", 10, FAKE_GPU_RUNTIME);
  ASSERT_EQ(calls.size(), 4u);
  const CUpti_CallbackDomain runtime = CUPTI_CB_DOMAIN_RUNTIME_API, driver = CUPTI_CB_DOMAIN_DRIVER_API;
  const std::vector<std::pair<CUpti_CallbackDomain, CUpti_ApiCallbackSite>> expected = {
      {runtime, CUPTI_API_ENTER}, {driver, CUPTI_API_ENTER}, {driver, CUPTI_API_EXIT}, {runtime, CUPTI_API_EXIT}};
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(std::make_pair(calls[i].domain, calls[i].site), expected[i]);
    EXPECT_EQ(calls[i].correlation, calls[0].correlation);
  }
  EXPECT_EQ(calls[1].stream, 7u);
  EXPECT_EQ(cuptiUnsubscribe(subscriber), CUPTI_SUCCESS);
  Launch("k");
  EXPECT_EQ(calls.size(), 4u);
}

TEST_F(FakeCuptiTest, AFailedLaunchSaysSoAndDoesNothing) {
  Subscribe();
  Enable({kKernel});
  Arm("launch_error 1");
  EXPECT_NE(fake_gpu_launch(fake_gpu_function("k"), 10, stream, FAKE_GPU_DRIVER), 0);
  EXPECT_EQ(calls.back().site, CUPTI_API_EXIT);
  EXPECT_NE(calls.back().result, 0);
  EXPECT_THAT(Flush(), IsEmpty());
}

TEST_F(FakeCuptiTest, ReplaysTheClonesOfCapturedNodesUnderOneCorrelationId) {
  Subscribe();
  Enable({kKernel, CUPTI_ACTIVITY_KIND_MEMCPY, CUPTI_ACTIVITY_KIND_MEMSET});
  fake_gpu_begin_capture(stream);
  Launch("a", 10);
  fake_gpu_copy(FAKE_GPU_DTOD, 4096, 20, stream, FAKE_GPU_DRIVER);
  fake_gpu_set(64, 30, stream);
  const fake_gpu_graph_t graph = fake_gpu_end_capture(stream);
  EXPECT_THAT(Flush(), IsEmpty()) << "what is captured is not done";
  std::vector<uint64_t> created;
  for (const Call& call : CallsOf(CUPTI_CB_DOMAIN_RESOURCE)) {
    if (call.id == CUPTI_CBID_RESOURCE_GRAPHNODE_CREATED) {
      created.push_back(call.node);
    }
  }
  EXPECT_EQ(created.size(), 3u);
  calls.clear();

  const fake_gpu_exec_t exec = fake_gpu_instantiate(graph);
  std::vector<uint64_t> originals;
  std::vector<uint64_t> clones;
  for (const Call& call : CallsOf(CUPTI_CB_DOMAIN_RESOURCE)) {
    if (call.id == CUPTI_CBID_RESOURCE_GRAPHNODE_CLONED) {
      originals.push_back(call.original_node);
      clones.push_back(call.node);
    }
  }
  EXPECT_EQ(originals, created);
  const auto resources = CallsOf(CUPTI_CB_DOMAIN_RESOURCE);
  EXPECT_EQ(resources.front().id, static_cast<uint32_t>(CUPTI_CBID_RESOURCE_GRAPHEXEC_CREATE_STARTING));
  EXPECT_EQ(resources.back().id, static_cast<uint32_t>(CUPTI_CBID_RESOURCE_GRAPHEXEC_CREATED));
  calls.clear();

  fake_gpu_graph_launch(exec, stream);
  ASSERT_EQ(calls.size(), 2u);
  const uint32_t correlation = calls[0].correlation;
  uint32_t exec_id = 0;
  ASSERT_EQ(cuptiGetGraphExecId(static_cast<CUgraphExec>(exec), &exec_id), CUPTI_SUCCESS);
  const std::vector<Seen> records = Flush();
  ASSERT_EQ(records.size(), 3u);
  for (size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(records[i].node, clones[i]);
    EXPECT_EQ(records[i].graph, exec_id);
    EXPECT_EQ(records[i].correlation, correlation);
  }
  EXPECT_EQ(records[1].kind, CUPTI_ACTIVITY_KIND_MEMCPY);
  EXPECT_EQ(records[2].kind, CUPTI_ACTIVITY_KIND_MEMSET);
  EXPECT_EQ(records[2].end - records[0].start, 60u);
  fake_gpu_destroy_exec(exec);
  fake_gpu_destroy_graph(graph);
  EXPECT_EQ(calls.back().id, static_cast<uint32_t>(CUPTI_DRIVER_TRACE_CBID_cuGraphDestroy));
}

TEST_F(FakeCuptiTest, GivesGraphIdsAgainWhenAsked) {
  const auto capture = [this] {
    fake_gpu_set_next_graph_id(500);
    fake_gpu_begin_capture(stream);
    Launch("a");
    return fake_gpu_end_capture(stream);
  };
  uint32_t first = 0, second = 0;
  const fake_gpu_graph_t a = capture();
  cuptiGetGraphId(static_cast<CUgraph>(a), &first);
  fake_gpu_destroy_graph(a);
  const fake_gpu_graph_t b = capture();
  cuptiGetGraphId(static_cast<CUgraph>(b), &second);
  fake_gpu_destroy_graph(b);
  EXPECT_EQ(first, 500u);
  EXPECT_EQ(second, 500u);
}

TEST_F(FakeCuptiTest, AForcedFlushGivesWhatRunsWithoutAnEnd) {
  Enable({kKernel});
  Launch("long", 200'000'000);
  EXPECT_EQ(cuptiActivityFlushAll(0), CUPTI_SUCCESS);
  {
    const std::lock_guard<std::mutex> lock(mutex);
    EXPECT_THAT(seen, IsEmpty()) << "a plain flush holds it back";
  }
  EXPECT_EQ(cuptiActivityFlushAll(CUPTI_ACTIVITY_FLAG_FLUSH_FORCED), CUPTI_SUCCESS);
  {
    const std::lock_guard<std::mutex> lock(mutex);
    ASSERT_EQ(seen.size(), 1u);
    EXPECT_EQ(seen[0].end, 0u);
    seen.clear();
  }
  EXPECT_THAT(Flush(), IsEmpty()) << "it is not delivered again";
}

TEST_F(FakeCuptiTest, SaysHowManyRecordsHadNoBuffer) {
  buffer_bytes = 8;  // for no record
  Enable({kKernel});
  for (int i = 0; i < 5; ++i) {
    Launch("k");
  }
  EXPECT_THAT(Flush(), IsEmpty());
  EXPECT_EQ(Dropped(), 5u);
  EXPECT_EQ(Dropped(), 0u) << "since the last question";
}

TEST_F(FakeCuptiTest, RecordsMemory) {
  Enable({CUPTI_ACTIVITY_KIND_MEMORY2});
  const uint64_t address = fake_gpu_allocate(1000);
  fake_gpu_free(address);
  const std::vector<Seen> records = Flush();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[0].value, 1000u);
  EXPECT_EQ(records[1].value, 1000u);
}

// --- Faults
// --------------------------------------------------------------------------------------------------------------------

class FakeFaultTest : public FakeCuptiTest {
 protected:
  // The names of kernels a, b, c, … of which the first is launched with the fault.
  std::vector<std::string> NamesOf(const std::vector<Seen>& records) {
    std::vector<std::string> names;
    for (const Seen& record : records) {
      names.push_back(record.name);
    }
    return names;
  }

  std::vector<Seen> LaunchWith(const char* fault, std::initializer_list<const char*> names) {
    Enable({kKernel});
    Arm(fault);
    for (const char* name : names) {
      Launch(name);
    }
    return Flush();
  }
};

TEST_F(FakeFaultTest, DropsRecordsAndSaysHowMany) {
  EXPECT_THAT(NamesOf(LaunchWith("drop 2", {"a", "b", "c"})), ElementsAre("c"));
  EXPECT_EQ(Dropped(), 2u);
}

TEST_F(FakeFaultTest, ReversesTimes) {
  const auto records = LaunchWith("reversed_times 1", {"a", "b"});
  EXPECT_LT(records.at(0).end, records.at(0).start);
  EXPECT_GT(records.at(1).end, records.at(1).start);
}

TEST_F(FakeFaultTest, LeavesTimesOut) { EXPECT_EQ(LaunchWith("zero_times 1", {"a"}).at(0).start, 0u); }

TEST_F(FakeFaultTest, RecordsALaunchTwice) {
  const auto records = LaunchWith("duplicate 1", {"a", "b"});
  EXPECT_THAT(NamesOf(records), ElementsAre("a", "a", "b"));
  EXPECT_EQ(records[0].correlation, records[1].correlation);
}

TEST_F(FakeFaultTest, PutsAnUnknownKindBeforeARecord) {
  const auto records = LaunchWith("unknown_kind 1", {"a", "b"});
  ASSERT_EQ(records.size(), 3u);
  EXPECT_GT(records[0].kind, CUPTI_ACTIVITY_KIND_COUNT);
}

TEST_F(FakeFaultTest, CutsTheLastRecordOfABuffer) {
  EXPECT_THAT(NamesOf(LaunchWith("truncate 100", {"a", "b"})), ElementsAre("a"));
  EXPECT_EQ(broken_buffers, 1);
}

TEST_F(FakeFaultTest, ReversesTheRecordsOfABuffer) {
  EXPECT_THAT(NamesOf(LaunchWith("reverse_records", {"a", "b", "c"})), ElementsAre("c", "b", "a"));
}

// One buffer a kernel.
class FakeBufferFaultTest : public FakeFaultTest {
 protected:
  void SetUp() override {
    FakeFaultTest::SetUp();
    buffer_bytes = sizeof(CUpti_ActivityKernel10);
  }
};

TEST_F(FakeBufferFaultTest, DeliversABufferLate) {
  EXPECT_THAT(NamesOf(LaunchWith("late_buffers 2", {"a", "b", "c", "d"})), ElementsAre("b", "c", "a", "d"));
}

TEST_F(FakeBufferFaultTest, DeliversBuffersInReverse) {
  EXPECT_THAT(NamesOf(LaunchWith("reverse_buffers 3", {"a", "b", "c", "d"})), ElementsAre("c", "b", "a", "d"));
}

TEST_F(FakeFaultTest, SetsTheClock) {
  uint64_t before = 0, after = 0;
  cuptiGetTimestamp(&before);
  Arm("clock_jump 3600s");
  cuptiGetTimestamp(&after);
  EXPECT_GT(after - before, 3'599'000'000'000u);
  Arm("clock_jump -3600s");
}

TEST_F(FakeFaultTest, RefusesASubscriberByTheOthersName) {
  Arm("refuse_subscriber SomeTool");
  char other[CUPTI_OLD_SUBSCRIBER_NAME_MIN_LEN] = {};
  CUpti_SubscriberParams params{CUpti_SubscriberParams_STRUCT_SIZE, "test", other, sizeof(other)};
  EXPECT_EQ(cuptiSubscribe_v2(
                &subscriber, [](void*, CUpti_CallbackDomain, CUpti_CallbackId, const void*) {}, nullptr, &params),
            CUPTI_ERROR_MULTIPLE_SUBSCRIBERS_NOT_SUPPORTED);
  EXPECT_STREQ(other, "CUPTI for SomeTool");
  Arm("refuse_subscriber");
}

TEST_F(FakeFaultTest, RefusesAKind) {
  Arm("refuse_kind 10");
  EXPECT_EQ(cuptiActivityEnable(kKernel), CUPTI_ERROR_NOT_COMPATIBLE);
  Arm("refuse_kind 0");
  EXPECT_EQ(fake_gpu_enabled_kinds(), 0);
}

TEST_F(FakeFaultTest, StallsUntilDisabledFlushedAndEnabled) {
  EXPECT_THAT(NamesOf(LaunchWith("stall 1", {"a", "b", "c"})), ElementsAre("a"));
  cuptiActivityDisable(kKernel);
  cuptiActivityFlushAll(0);
  cuptiActivityEnable(kKernel);
  Launch("d");
  EXPECT_THAT(NamesOf(Flush()), ElementsAre("d"));
}

TEST_F(FakeFaultTest, WritesRecordsOfEarlierAndLaterVersions) {
  for (const auto& [version, bytes] :
       std::vector<std::pair<const char*, size_t>>{{"version 24", sizeof(CUpti_ActivityKernel9)},
                                                   {"version 140000", sizeof(CUpti_ActivityKernel10) + 40},
                                                   {"version 130001", sizeof(CUpti_ActivityKernel10)}}) {
    completed_bytes.clear();
    EXPECT_THAT(NamesOf(LaunchWith(version, {"a", "b"})), ElementsAre("a", "b"));
    EXPECT_THAT(completed_bytes, ElementsAre(2 * bytes)) << version;
  }
}

TEST_F(FakeFaultTest, AnUnknownFaultIsAnError) {
  EXPECT_STREQ(fake_gpu_fault("nonsense 3"), "not a fault: 'nonsense 3'");
}

}  // namespace
