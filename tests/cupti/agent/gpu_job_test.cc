// What the shipped agent does to a job that uses a GPU, and which range it gives each operation to.
#include "tests/cupti/agent/gpu_job_test.h"

namespace dsocr {
namespace {

class GpuRangesTest : public GpuJobTest {};

TEST_F(GpuRangesTest, EveryOperationBelongsToTheRangeItWasLaunchedIn) {
  const PlayedJob job = Play(R"(
    cuinit
    repeat 20 {
      range request {
        copy htod 4096 500ns
        range vision {
          launch gemm 10us
          launch gemm 20us 8
          set 64 300ns 2:9
        }
        range decode {
          launch gemv 3us 7 driver_ex
          launch gemv 4us 7 runtime
          copy dtoh 16 200ns 8 runtime
        }
      }
    }
    launch orphan 1us
    range late {
      copy dtod 1000 1us
    }
    sync
    sync 8
    sync 2:9
  )");
  ExpectUndisturbed(job);
  EXPECT_EQ(job.SelfNs("request"), 20 * 500);
  EXPECT_EQ(job.SelfNs("request.vision"), 20 * (10'000 + 20'000 + 300));
  EXPECT_EQ(job.SelfNs("request.decode"), 20 * (3'000 + 4'000 + 200));
  EXPECT_EQ(job.SelfNs("late"), 1000);
  EXPECT_EQ(job.result.request.operations, 20 * 7 + 2);
  EXPECT_EQ(job.result.request.operations_unattributed, 1);
  EXPECT_EQ(job.result.request.unattributed_ns, 1000) << "the orphan";
}

TEST_F(GpuRangesTest, EachThreadHasItsOwnRanges) {
  const PlayedJob job = Play(R"(
    cuinit
    thread {
      range left {
        repeat 500 {
          launch k 1us 8
        }
      }
      sync 8
    }
    thread {
      range right {
        repeat 300 {
          launch k 2us 9 runtime
        }
      }
      sync 9
    }
    join
  )");
  ExpectUndisturbed(job);
  ExpectRangesAreTrue(job);
  EXPECT_EQ(job.SelfNs("left"), 500'000);
  EXPECT_EQ(job.SelfNs("right"), 600'000);
}

TEST_F(GpuRangesTest, OperationsOfAnOpenRangeAreNotLostWhenTheJobExits) {
  const PlayedJob job = Play(R"(
    cuinit
    range a {
      launch k 1us
      sync
      exit 7
    }
  )");
  ExpectUndisturbed(job, 7);
  EXPECT_EQ(job.result.request.operations, 1);
}

TEST_F(GpuRangesTest, BuffersInAnyOrderChangeNothing) {
  for (const char* fault : {"late_buffers 2", "reverse_buffers 3", "reverse_records", "late 20ms"}) {
    const PlayedJob job = Play(std::string(R"(
      cuinit
      fault )") + fault + R"(
      repeat 5 {
        range request {
          launch a 1us
          range vision {
            launch b 2us
          }
        }
        sync
        deliver
      }
    )");
    ExpectUndisturbed(job);
    ExpectRangesAreTrue(job);
  }
}

TEST_F(GpuRangesTest, RecordsOfCuda12AreReadAsThoseOf13) {
  for (const char* version : {"19", "24", "28", "130001"}) {
    const PlayedJob job = Play(std::string(R"(
      fault version )") + version +
                               R"(
      cuinit
      range request {
        launch a 1us
        copy htod 100 2us
        set 100 4us
      }
      sync
    )");
    ExpectUndisturbed(job);
    ExpectRangesAreTrue(job);
    ASSERT_EQ(job.result.request.modules.size(), 1u) << version;
  }
}

TEST_F(GpuRangesTest, WithAnotherToolInCuptiOperationsStillHaveTheirRange) {
  const PlayedJob job = Play(R"(
    fault refuse_subscriber SomeTool
    cuinit
    repeat 10 {
      range request {
        launch a 1us
        range vision {
          launch b 2us 7 runtime
        }
      }
    }
    sync
  )");
  ExpectUndisturbed(job);
  ExpectRangesAreTrue(job);
}

// --- Faults that a job must survive
// --------------------------------------------------------------------------------------------------------------

struct Harm {
  const char* name;
  const char* fault;
};

class GpuHarmTest : public GpuJobTest, public ::testing::WithParamInterface<Harm> {};

TEST_P(GpuHarmTest, DoesNotReachTheJob) {
  const PlayedJob job = Play(std::string("fault ") + GetParam().fault + R"(
    cuinit
    repeat 10 {
      range request {
        launch a 1us
        launch b 1us 8 runtime
        copy htod 10 1us
        sync
        sync 8
      }
      deliver
    }
  )");
  ExpectUndisturbed(job);
  EXPECT_LE(job.result.request.operations, job.launched());
}

INSTANTIATE_TEST_SUITE_P(Faults, GpuHarmTest,
                         ::testing::Values(Harm{"drop", "drop 3"}, Harm{"reversed_times", "reversed_times 3"},
                                           Harm{"zero_times", "zero_times 3"}, Harm{"unknown_kind", "unknown_kind 3"},
                                           Harm{"unknown_version", "version 990000"}, Harm{"old_version", "version 14"},
                                           Harm{"bad_name", "bad_name 3"}, Harm{"truncate", "truncate 8"},
                                           Harm{"refuse_subscriber", "refuse_subscriber SomeTool"},
                                           Harm{"refuse_kernels", "refuse_kind 10"},
                                           Harm{"refuse_waits", "refuse_kind 38"}, Harm{"stall", "stall 3"},
                                           Harm{"stall_for_ever", "stall_for_ever 3"},
                                           Harm{"stuck_flush", "stuck_flush"}, Harm{"slow_flush", "slow_flush 50ms"},
                                           Harm{"duplicate", "duplicate 3"}, Harm{"launch_error", "launch_error 3"},
                                           Harm{"late", "late 10s"}, Harm{"clock_ahead", "clock_jump 3600s"},
                                           Harm{"clock_behind", "clock_jump -3600s"}),
                         [](const ::testing::TestParamInfo<Harm>& harm) { return harm.param.name; });

TEST_F(GpuRangesTest, AJobMayEndInTheMiddleOfAFlush) {
  const PlayedJob job = Play(R"(
    cuinit
    fault slow_flush 300ms
    range request {
      launch k 1us
    }
    sync
    wait_flush
    exit 3
  )");
  ExpectUndisturbed(job, 3);
}

TEST_F(GpuRangesTest, AJobThatIsKilledLeavesWhatWasRecorded) {
  const PlayedJob job = Play(R"(
    cuinit
    range request {
      launch k 1us
    }
    sync
    sleep 900ms
    kill
  )");
  EXPECT_EQ(job.exit_code, 128 + SIGKILL);
  EXPECT_EQ(job.talk, "");
  EXPECT_EQ(job.result.request.operations, 1);
}

}  // namespace
}  // namespace dsocr
