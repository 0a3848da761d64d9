// What a report says of a recording on a GPU: the ledger, graphs, waits, memory, and each fault by its name.
#include <cstdlib>

#include "tests/cupti/agent/gpu_job_test.h"

namespace dsocr {
namespace {

using ::testing::IsEmpty;

class GpuLedgerTest : public GpuJobTest {};

TEST_F(GpuLedgerTest, CountsTheLaunchesOfEveryStream) {
  const PlayedJob job = Play(R"(
    cuinit
    repeat 100 {
      range request {
        launch a 1us 7
        launch b 1us 8 runtime
        launch c 1us 9 driver_ex
        copy htod 10 1us 8 runtime
        set 10 1us 2:7
      }
    }
    sync 7
    sync 8
    sync 9
    sync 2:7
  )");
  ExpectUndisturbed(job);
  ExpectRangesAreTrue(job);
  ExpectComplete(job);
}

TEST_F(GpuLedgerTest, AFailedLaunchIsNone) {
  const PlayedJob job = Play(R"(
    cuinit
    fault launch_error 3
    repeat 10 {
      launch a 1us 7 runtime
    }
    sync
  )");
  ExpectUndisturbed(job);
  EXPECT_EQ(job.launched(), 7);
  ExpectComplete(job);
}

TEST_F(GpuLedgerTest, WorkThatIsNotDoneAtTheEndIsPendingOrInvalid) {
  const PlayedJob job = Play(R"(
    cuinit
    launch short 1us
    launch long 20s
    launch never 1us
    sleep 50ms
  )");
  ExpectUndisturbed(job);
  ExpectLedgerCloses(job);
  EXPECT_EQ(job.Total().recorded, 1);
  EXPECT_EQ(job.Total().pending + job.Total().invalid, 2);
}

TEST_F(GpuLedgerTest, SaysWhatTheHostWaitedAndCuptiTook) {
  const PlayedJob job = Play(R"(
    cuinit
    range request {
      launch a 30ms
      sync
      overhead 250us
      overhead 50us
    }
  )");
  ExpectUndisturbed(job);
  ExpectComplete(job);
  EXPECT_GT(job.result.gpu->wait_ns, 20'000'000);
  EXPECT_LT(job.result.gpu->wait_ns, 1'000'000'000);
  EXPECT_EQ(job.result.gpu->overhead_ns, 300'000);
}

TEST_F(GpuLedgerTest, GapsAfterASynchronisationAreToldFromThoseOfASlowHost) {
  const PlayedJob job = Play(R"(
    cuinit
    range request {
      launch a 1ms
      sync
      sleep 30ms
      launch b 1ms
      sleep 60ms
      launch c 1ms
      sync
    }
  )",
                             Requests());
  ExpectUndisturbed(job);
  ExpectComplete(job);
  const attribution::ModuleSum* const root = job.Module("request");
  ASSERT_NE(root, nullptr);
  EXPECT_GE(job.result.request.sync_gap_ns, 29'000'000) << "the host was back when it had slept";
  EXPECT_GE(root->gap_ns - job.result.request.sync_gap_ns, 55'000'000) << "it slept, and nobody had waited";
}

TEST_F(GpuLedgerTest, SaysTheMostMemoryThatWasAllocatedAtOnce) {
  const PlayedJob job = Play(R"(
    cuinit
    alloc a 1000
    alloc b 2000
    free a
    alloc c 500
    free b
    free c
    launch k 1us
    sync
  )");
  ExpectUndisturbed(job);
  ASSERT_TRUE(job.result.gpu.has_value());
  EXPECT_EQ(job.result.gpu->memory_peak_bytes, 3000);
}

// --- Graphs
// --------------------------------------------------------------------------------------------------------------------

// Module ids of a model with a decode step.
attribution::Options DecodeModel() {
  attribution::Options options;
  options.request_range = "request";
  options.resolve_range = [](std::string_view name) -> attribution::RangeMeaning {
    if (name == "request") return {"root", ""};
    return {std::string(name), ""};
  };
  return options;
}

constexpr char kCapture[] = R"(
  range warm-up {
    range decode {
      capture graph {
        range decode/layer[0] {
          launch gemv 2us
          launch rms_norm 1us
        }
        range decode/layer[1] {
          launch gemv 3us
          copy dtod 64 500ns
          set 64 250ns
        }
        launch argmax 1us
      }
    }
  }
)";

TEST_F(GpuLedgerTest, AReplayBelongsBelowTheRangeThatLaunchedIt) {
  const PlayedJob job = Play(std::string("cuinit\n") + kCapture + R"(
    instantiate exec graph
    repeat 4 {
      range request {
        range decode {
          graph_launch exec
          graph_launch exec
          launch sample 700ns
        }
      }
      sync
    }
  )",
                             DecodeModel());
  ExpectUndisturbed(job);
  ExpectComplete(job);
  EXPECT_EQ(job.launched(), 4 * (2 * 6 + 1));
  EXPECT_EQ(job.SelfNs("decode/layer[0]"), 2 * 3000);
  EXPECT_EQ(job.SelfNs("decode/layer[1]"), 2 * 3750);
  EXPECT_EQ(job.SelfNs("decode"), 2 * 1000 + 700);
  EXPECT_EQ(job.result.request.unattributed_ns, 0);
  const ModuleSum* const layer = job.Module("decode/layer[1]");
  ASSERT_NE(layer, nullptr);
  EXPECT_EQ(layer->calls, 2) << "each captured entry is a call at every replay";
  EXPECT_EQ(layer->parent_id, "decode");
  EXPECT_EQ(layer->inferred_ns, 0);
  EXPECT_EQ(job.result.gpu->graphs.launches, 8);
  EXPECT_EQ(job.result.gpu->graphs.graphs, 1);
  EXPECT_EQ(job.result.gpu->graphs.operations_captured, 8 * 6);
  EXPECT_EQ(job.result.gpu->graphs.operations_inferred, 0);
  EXPECT_EQ(job.result.gpu->graphs.operations_unknown, 0);
}

TEST_F(GpuLedgerTest, AGraphMayBeDestroyedAfterItsInstantiation) {
  const PlayedJob job = Play(std::string("cuinit\n") + kCapture + R"(
    instantiate exec graph
    destroy graph
    range request {
      range decode {
        graph_launch exec
      }
    }
    sync
  )",
                             DecodeModel());
  ExpectUndisturbed(job);
  ExpectComplete(job);
  EXPECT_EQ(job.SelfNs("decode/layer[0]"), 3000);
}

TEST_F(GpuLedgerTest, AnUpdatedGraphDoesWhatItDoesNow) {
  const PlayedJob job = Play(R"(
    cuinit
    capture first {
      range a {
        launch k 1us
      }
    }
    capture second {
      range a {
        launch k 5us
      }
    }
    instantiate exec first
    range request {
      graph_launch exec
      update exec second
      graph_launch exec
    }
    sync
  )",
                             Requests());
  ExpectUndisturbed(job);
  ExpectComplete(job);
  EXPECT_EQ(job.SelfNs("request.a"), 6000);
}

TEST_F(GpuLedgerTest, IdsOfADestroyedGraphMayComeAgain) {
  const PlayedJob job = Play(R"(
    cuinit
    graph_id 100
    capture first {
      range a {
        launch k 1us
        launch k 1us
      }
    }
    instantiate exec first
    range request {
      graph_launch exec
    }
    sync
    sleep 100ms
    deliver
    destroy exec
    destroy first
    graph_id 100
    capture second {
      range b {
        launch k 4us
      }
    }
    instantiate exec second
    range request {
      graph_launch exec
    }
    sync
  )",
                             Requests());
  ExpectUndisturbed(job);
  ExpectComplete(job);
  EXPECT_EQ(job.result.request_total_ns.size(), 2u);
  EXPECT_EQ(job.result.gpu->graphs.operations_captured, 3);
  EXPECT_EQ(job.result.request.unattributed_ns, 0);
}

TEST_F(GpuLedgerTest, AThousandShortLivedGraphsAreAllKnown) {
  const PlayedJob job = Play(R"(
    cuinit
    repeat 1000 2ms {
      range request {
        capture graph {
          range layer {
            repeat 100 {
              launch k 10ns
            }
          }
        }
        instantiate exec graph
        graph_launch exec
        sync
        destroy exec
        destroy graph
      }
    }
  )",
                             Requests());
  ExpectUndisturbed(job);
  ExpectComplete(job);
  EXPECT_EQ(job.result.gpu->graphs.operations_captured, 100'000);
}

TEST_F(GpuLedgerTest, AGraphThatNobodySawCapturedCountsForTheRangeThatLaunchedIt) {
  const PlayedJob job = Play(std::string(kCapture) + R"(
    instantiate exec graph
    cuinit
    repeat 3 {
      range request {
        range decode {
          graph_launch exec
        }
      }
      sync
    }
  )",
                             DecodeModel());
  ExpectUndisturbed(job);
  EXPECT_EQ(job.SelfNs("decode"), 7750);
  ASSERT_TRUE(job.result.gpu.has_value());
  EXPECT_EQ(job.result.gpu->graphs.launches, 3);
  EXPECT_EQ(job.result.gpu->graphs.operations_captured, 0);
  EXPECT_EQ(job.result.gpu->graphs.operations_unknown, 3 * 6);
  EXPECT_EQ(job.result.request.unattributed_ns, 0);
}

TEST_F(GpuLedgerTest, AGraphThatNobodySawCapturedIsAlignedWithTheExpectedStep) {
  attribution::Options options = DecodeModel();
  options.expected_step = {
      {{"decode", "decode/layer[0]"}, {"gemv"}, 1},          {{"decode", "decode/layer[0]"}, {"norm"}, 1},
      {{"decode", "decode/layer[1]"}, {"gemv"}, 1},          {{"decode", "decode/layer[1]"}, {"copy"}, 1},
      {{"decode", "decode/layer[1]"}, {"set", "memset"}, 1}, {{"decode"}, {"reduce", "reduction"}, 1}};
  const PlayedJob job = Play(std::string(kCapture) + R"(
    instantiate exec graph
    cuinit
    repeat 3 {
      range request {
        range decode {
          graph_launch exec
        }
      }
      sync
    }
  )",
                             std::move(options));
  ExpectUndisturbed(job);
  ASSERT_TRUE(job.result.gpu.has_value());
  EXPECT_GT(job.result.gpu->graphs.operations_inferred, 0);
  EXPECT_EQ(job.result.gpu->graphs.operations_inferred + job.result.gpu->graphs.operations_unknown, 3 * 6);
  EXPECT_EQ(job.SelfNs("decode/layer[0]"), 3000);
  EXPECT_EQ(job.SelfNs("decode/layer[1]"), 3750);
  const ModuleSum* const layer = job.Module("decode/layer[0]");
  ASSERT_NE(layer, nullptr);
  EXPECT_EQ(layer->inferred_ns, 3000);
  EXPECT_GT(layer->inferred_confidence, 0.0);
}

// --- The sixteen faults, as the report tells them
// --------------------------------------------------------------------------------------------------------------

class GpuFaultTest : public GpuJobTest {
 protected:
  // 1 + 20 launches on one stream, the fault armed after the first; all done at the end.
  PlayedJob PlayWith(const std::string& fault) {
    return Play(R"(
      cuinit
      launch first 1us
      fault )" + fault +
                R"(
      repeat 20 {
        range request {
          launch a 1us
        }
        sync
      }
    )");
  }
};

TEST_F(GpuFaultTest, DroppedRecordsAreCountedAsDropped) {
  const PlayedJob job = PlayWith("drop 5");
  ExpectLedgerCloses(job);
  EXPECT_EQ(job.Total().recorded, 16);
  EXPECT_EQ(job.Total().dropped, 5);
  EXPECT_EQ(job.Total().pending, 0);
}

TEST_F(GpuFaultTest, ALateBufferIsNotMissed) { ExpectComplete(PlayWith("late 100ms")); }

TEST_F(GpuFaultTest, BuffersOutOfOrderAreNoIncident) { ExpectComplete(PlayWith("reverse_buffers 2")); }

TEST_F(GpuFaultTest, RecordsOutOfOrderAreNoIncident) { ExpectComplete(PlayWith("reverse_records")); }

TEST_F(GpuFaultTest, ARecordThatEndsBeforeItStartsIsInvalid) {
  const PlayedJob job = PlayWith("reversed_times 5");
  ExpectLedgerCloses(job);
  EXPECT_EQ(job.Total().recorded, 16);
  EXPECT_EQ(job.Total().invalid, 5);
  EXPECT_EQ(job.result.request.attributed_ns + job.result.request.unattributed_ns, 16'000);
}

TEST_F(GpuFaultTest, ARecordWithoutTimesIsInvalid) {
  const PlayedJob job = PlayWith("zero_times 5");
  ExpectLedgerCloses(job);
  EXPECT_EQ(job.Total().recorded, 16);
  EXPECT_EQ(job.Total().invalid, 5);
}

class GpuClockTest : public GpuJobTest, public ::testing::WithParamInterface<const char*> {};

TEST_P(GpuClockTest, ThatIsSetIsToldAndPlacesRecordsRightly) {
  const PlayedJob job = Play(std::string(R"(
    cuinit
    range request {
      launch before 1us
      sync
      sleep 20ms
      fault clock_jump )") + GetParam() +
                                 R"(
      sleep 20ms
      launch after 1us
      sync
    }
  )",
                             Requests());
  ExpectUndisturbed(job);
  ExpectLedgerCloses(job);
  EXPECT_EQ(job.Total().recorded, 2);
  ASSERT_NE(job.Told(IncidentCode::kClockJumped), nullptr);
  EXPECT_NEAR(static_cast<double>(job.Told(IncidentCode::kClockJumped)->value), std::atof(GetParam()) * 1e9, 1e9);
  EXPECT_GT(job.result.request.total_ns, 39'000'000) << "the first starts 40 ms before the last";
  EXPECT_LT(job.result.request.total_ns, 5'000'000'000);
}

INSTANTIATE_TEST_SUITE_P(Jumps, GpuClockTest, ::testing::Values("3600s", "-3600s"),
                         [](const auto& jump) { return jump.param[0] == '-' ? "Back" : "Forward"; });

TEST_F(GpuFaultTest, AFloodOfRecordsWithoutSenseIsTold) {
  const PlayedJob job = Play(R"(
    cuinit
    launch first 1us
    fault zero_times 5000
    repeat 30 100ms {
      repeat 200 {
        launch a 1us
      }
      sync
    }
  )");
  ExpectUndisturbed(job);
  ExpectLedgerCloses(job);
  EXPECT_NE(job.Told(IncidentCode::kMostlyInvalid), nullptr);
  EXPECT_EQ(job.Total().invalid, 5000);
}

TEST_F(GpuFaultTest, AnUnknownKindIsTold) {
  const PlayedJob job = PlayWith("unknown_kind 2");
  ExpectLedgerCloses(job);
  EXPECT_EQ(job.Total().recorded, 21) << "the operations beside it are read";
  ASSERT_NE(job.Told(IncidentCode::kUnknownKind), nullptr);
  EXPECT_EQ(job.Told(IncidentCode::kUnknownKind)->value, 2000);
  EXPECT_EQ(job.Told(IncidentCode::kUnknownKind)->count, 2);
}

TEST_F(GpuFaultTest, ALibraryOfTheFutureIsToldAndNotRead) {
  const PlayedJob job = Play(R"(
    fault version 990000
    cuinit
    range request {
      launch a 1us
    }
    sync
  )");
  ExpectUndisturbed(job);
  EXPECT_EQ(job.result.request.operations, 0);
  EXPECT_TRUE(job.Told(IncidentCode::kNoLibrary) != nullptr || job.Told(IncidentCode::kUnknownVersion) != nullptr);
}

TEST_F(GpuFaultTest, ANameThatPointsNowhereIsNoName) {
  const PlayedJob job = PlayWith("bad_name 2");
  ExpectUndisturbed(job);
  ExpectLedgerCloses(job);
  EXPECT_EQ(job.Total().recorded, 21);
  EXPECT_EQ(job.result.request.attributed_ns + job.result.request.unattributed_ns, 21'000);
}

TEST_F(GpuFaultTest, ATruncatedBufferIsTold) {
  const PlayedJob job = PlayWith("truncate 100");
  ExpectLedgerCloses(job);
  EXPECT_EQ(job.Total().recorded, 20);
  EXPECT_EQ(job.Total().invalid + job.Total().dropped + job.Total().pending, 1) << "the record that was cut";
  EXPECT_NE(job.Told(IncidentCode::kTruncated), nullptr);
}

TEST_F(GpuFaultTest, ARefusedSubscriptionNamesTheOther) {
  const PlayedJob job = Play(R"(
    fault refuse_subscriber SomeTool
    cuinit
    repeat 10 {
      range request {
        launch a 1us
      }
    }
    sync
  )");
  ExpectUndisturbed(job);
  ExpectRangesAreTrue(job);
  ASSERT_NE(job.Told(IncidentCode::kSubscriberRefused), nullptr);
  EXPECT_THAT(job.Told(IncidentCode::kSubscriberRefused)->name, ::testing::HasSubstr("SomeTool"));
  ASSERT_TRUE(job.result.gpu.has_value());
  EXPECT_FALSE(job.result.gpu->launches_counted);
  EXPECT_EQ(job.Total().recorded, 10);
}

TEST_F(GpuFaultTest, WhatWasEnabledBeforeARefusalIsDisabled) {
  const PlayedJob job = Play(R"(
    fault refuse_kind 10
    cuinit
    launch a 1us
    sync
  )");
  ExpectUndisturbed(job);
  EXPECT_EQ(job.truth.at("enabled_kinds"), 0);
  ASSERT_NE(job.Told(IncidentCode::kEnableRefused), nullptr);
  EXPECT_EQ(job.result.request.operations, 0);
}

TEST_F(GpuFaultTest, AStallIsNoticedAndEnded) {
  const PlayedJob job = Play(R"(
    cuinit
    fault stall 10
    repeat 60 100ms {
      range request {
        launch a 1us
      }
      sync
    }
  )");
  ExpectUndisturbed(job);
  ExpectLedgerCloses(job);
  EXPECT_NE(job.Told(IncidentCode::kStalled), nullptr);
  EXPECT_NE(job.Told(IncidentCode::kRecovered), nullptr);
  EXPECT_GE(job.Total().recorded, 11);
  EXPECT_GT(job.Total().pending + job.Total().dropped, 0) << "what was launched meanwhile";
  EXPECT_EQ(job.Total().launched, 60);
}

TEST_F(GpuFaultTest, AStallForEverIsTold) {
  const PlayedJob job = Play(R"(
    cuinit
    fault stall_for_ever 10
    repeat 40 100ms {
      launch a 1us
      sync
    }
  )");
  ExpectUndisturbed(job);
  ExpectLedgerCloses(job);
  EXPECT_NE(job.Told(IncidentCode::kStalled), nullptr);
  EXPECT_EQ(job.Told(IncidentCode::kRecovered), nullptr);
  EXPECT_EQ(job.Total().recorded, 10);
  EXPECT_EQ(job.Total().pending + job.Total().dropped, 30);
}

TEST_F(GpuFaultTest, AStuckFlushIsToldAndHoldsNothingUp) {
  const PlayedJob job = PlayWith("stuck_flush");
  ExpectUndisturbed(job);
  ExpectLedgerCloses(job);
  EXPECT_NE(job.Told(IncidentCode::kFlushStuck), nullptr);
  EXPECT_EQ(job.Total().launched, 21);
}

TEST_F(GpuFaultTest, ALedgerClosesForAJobThatEndsInAFlush) {
  const PlayedJob job = Play(R"(
    cuinit
    fault slow_flush 300ms
    repeat 5 {
      launch k 1us
    }
    sync
    wait_flush
    exit 3
  )");
  ExpectUndisturbed(job, 3);
  ExpectLedgerCloses(job);
  EXPECT_EQ(job.Total().launched, 5);
}

TEST_F(GpuFaultTest, TheSecondRecordOfALaunchIsNoOperation) {
  const PlayedJob job = PlayWith("duplicate 3");
  ExpectLedgerCloses(job);
  EXPECT_EQ(job.Total().recorded, 21);
  EXPECT_EQ(job.result.records_invalid, 3);
  EXPECT_NE(job.Told(IncidentCode::kDuplicate), nullptr);
  EXPECT_EQ(job.result.request.attributed_ns + job.result.request.unattributed_ns, 21'000);
}

TEST_F(GpuFaultTest, OrdinaryJobsHaveNoIncident) {
  const PlayedJob job = PlayWith("drop 0");
  ExpectComplete(job);
  EXPECT_THAT(job.result.incidents, IsEmpty());
}

}  // namespace
}  // namespace dsocr
