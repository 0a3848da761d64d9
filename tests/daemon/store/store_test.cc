#include "daemon/store/store.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "daemon/store/new_id.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/scratch_directory.h"

namespace dsocr::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

v1::AnalyticModelReport Report(const std::string& id) {
  v1::AnalyticModelReport report;
  report.set_report_id(id);
  report.mutable_model()->set_model_variant("deepseek-ocr-v1-base");
  report.mutable_workload()->set_profile_id("dsocr-tiny-v1");
  report.set_predicted_total_time_ms(12.5);
  report.mutable_provenance()->set_started_at("2026-01-02T03:04:05Z");
  report.mutable_provenance()->mutable_device()->set_name("H200");
  return report;
}

v1::Run RunOf(const std::string& id, v1::RunState state) {
  v1::Run run;
  run.set_run_id(id);
  run.set_state(state);
  return run;
}

class StoreTest : public ::testing::Test {
 protected:
  std::string Url() const { return "sqlite:" + path_.string(); }

  std::unique_ptr<Store> Open() const {
    auto store = Store::Open(Url());
    EXPECT_TRUE(store.ok()) << store.status();
    return *std::move(store);
  }

  absl::Status OpenError() const { return Store::Open(Url()).status(); }

  // Runs SQL on the file behind the store's back.
  void Execute(const char* sql) const {
    sqlite3* connection = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &connection), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(connection, sql, nullptr, nullptr, nullptr), SQLITE_OK) << sqlite3_errmsg(connection);
    sqlite3_close(connection);
  }

  const ScratchDirectory directory_;
  const std::filesystem::path path_ = directory_ / "state" / "dsocr.db";
};

TEST_F(StoreTest, CreatesFileAndDirectoryForTheUserAlone) {
  Open();
  struct stat info;
  ASSERT_EQ(stat(path_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(stat(path_.parent_path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST_F(StoreTest, WhatWasPutIsThereAfterReopening) {
  const v1::AnalyticModelReport report = Report("r-1");
  {
    auto store = Open();
    ASSERT_TRUE(store->PutReport(report, "digest").ok());
    ASSERT_TRUE(store->PutRun(RunOf("p-1", v1::RUN_STATE_DONE)).ok());
    ASSERT_TRUE(store->PutCalibration({"c-1", {"H200", "bf16", "550", "0.1.0"}, "{}"}).ok());
  }
  auto store = Open();
  EXPECT_EQ(store->GetReport("r-1")->SerializeAsString(), report.SerializeAsString());
  EXPECT_EQ(store->GetSummary("r-1")->predicted_total_time_ms(), 12.5);
  EXPECT_EQ(store->GetRun("p-1")->state(), v1::RUN_STATE_DONE);
  EXPECT_EQ(store->GetCalibration("c-1")->key.driver, "550");
  EXPECT_EQ(*store->CountReports(), 1);
}

TEST_F(StoreTest, LatestIsTheOneAddedLastAndReplacingKeepsThePlace) {
  auto store = Open();
  ASSERT_TRUE(store->PutReport(Report("r-1"), "").ok());
  ASSERT_TRUE(store->PutReport(Report("r-2"), "").ok());
  v1::AnalyticModelReport replaced = Report("r-1");
  replaced.set_measured_total_time_ms(10);
  ASSERT_TRUE(store->PutReport(replaced, "").ok());
  EXPECT_EQ(store->GetReport("latest")->report_id(), "r-2");
  EXPECT_EQ(store->GetSummary("latest")->report_id(), "r-2");
  EXPECT_EQ(store->GetReport("r-1")->measured_total_time_ms(), 10);
  EXPECT_EQ(*store->CountReports(), 2);
}

TEST_F(StoreTest, FindsByDigestWhatCarriesNoMeasurement) {
  auto store = Open();
  ASSERT_TRUE(store->PutReport(Report("r-1"), "d").ok());
  ASSERT_TRUE(store->PutReport(Report("r-2"), "d").ok());
  ASSERT_TRUE(store->PutReport(Report("r-3"), "").ok());
  EXPECT_EQ(**store->FindByDigest("d"), "r-2");
  EXPECT_EQ(*store->FindByDigest(""), std::nullopt);
  v1::AnalyticModelReport measured = Report("r-2");
  measured.set_measured_total_time_ms(1);
  ASSERT_TRUE(store->PutReport(measured, "d").ok());
  EXPECT_EQ(**store->FindByDigest("d"), "r-1");
}

TEST_F(StoreTest, ListsPageByPageNewestFirst) {
  auto store = Open();
  for (int i = 0; i < 5; ++i) {
    ASSERT_TRUE(store->PutReport(Report("r-" + std::to_string(i)), "").ok());
  }
  std::vector<std::string> ids;
  v1::ListReportsRequest request;
  request.set_page_size(2);
  do {
    const auto page = store->ListReports(request);
    ASSERT_TRUE(page.ok()) << page.status();
    for (const v1::ReportListItem& item : page->reports()) {
      ids.push_back(item.report_id());
      EXPECT_EQ(item.device(), "H200");
      EXPECT_EQ(item.created_at(), "2026-01-02T03:04:05Z");
      EXPECT_EQ(item.predicted_total_time_ms(), 12.5);
      EXPECT_FALSE(item.has_measured_total_time_ms());
    }
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_THAT(ids, ElementsAre("r-4", "r-3", "r-2", "r-1", "r-0"));

  request.set_page_token("x'; DROP TABLE report");
  EXPECT_EQ(store->ListReports(request).status().code(), absl::StatusCode::kInvalidArgument);
  request.set_page_token("");
  request.set_page_size(1001);
  EXPECT_EQ(store->ListReports(request).status().code(), absl::StatusCode::kInvalidArgument);
}

v1::Validation ValidationOf(const std::string& id, const std::string& suite) {
  v1::Validation validation;
  validation.set_validation_id(id);
  validation.set_suite(suite);
  v1::CaseVerdict& verdict = *validation.add_cases();
  verdict.set_name("small");
  verdict.mutable_repeats()->add_modules()->add_self_time_ns(42);
  return validation;
}

TEST_F(StoreTest, KeepsValidationsAndListsThemWithoutTheirRepeats) {
  auto store = Open();
  for (const auto& [id, suite] : {std::pair("v-1", "night"), std::pair("v-2", "day"), std::pair("v-3", "night")}) {
    ASSERT_TRUE(store->PutValidation(ValidationOf(id, suite)).ok());
  }
  EXPECT_EQ(store->PutValidation(ValidationOf("v-1", "night")).code(), absl::StatusCode::kAlreadyExists);
  store = Open();
  EXPECT_EQ(store->GetValidation("v-1", "")->SerializeAsString(), ValidationOf("v-1", "night").SerializeAsString());
  EXPECT_EQ(store->GetValidation("latest", "day")->validation_id(), "v-2");
  EXPECT_EQ(store->GetValidation("latest", "noon").status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(store->GetValidation("v-4", "").status().message()), HasSubstr("no validation 'v-4'"));

  v1::ListValidationsRequest request;
  request.set_suite("night");
  request.set_page_size(1);
  const auto first = store->ListValidations(request);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->validations(0).validation_id(), "v-3");
  EXPECT_FALSE(first->validations(0).cases(0).has_repeats());
  request.set_page_token(first->next_page_token());
  const auto second = store->ListValidations(request);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->validations(0).validation_id(), "v-1");
  EXPECT_EQ(second->next_page_token(), "");
}

TEST_F(StoreTest, AFileOfTheFirstSchemaIsBroughtUpToDate) {
  const CalibrationKey key = {"H200", "bf16", "550", "0.1.0", "2.11.0"};
  {
    auto store = Open();
    ASSERT_TRUE(store->PutReport(Report("r-1"), "").ok());
    ASSERT_TRUE(store->PutCalibration({"c-1", key, "{}"}).ok());
  }
  Execute(
      "DROP TABLE validation; DROP INDEX calibration_by_key; ALTER TABLE calibration DROP COLUMN torch_version;"
      "CREATE INDEX calibration_by_key ON calibration (device_name, dtype, driver, tool_version);"
      "PRAGMA user_version = 1");
  auto store = Open();
  EXPECT_TRUE(store->GetReport("r-1").ok());
  EXPECT_FALSE(store->FindCalibration(key)->has_value());  // nobody knows which LibTorch it was
  EXPECT_EQ((*store->FindCalibrationOfAnyVersion(key))->id, "c-1");
  EXPECT_TRUE(store->PutValidation(ValidationOf("v-1", "night")).ok());
}

TEST_F(StoreTest, SaysWhichIdIsNearAndHowManyThereAre) {
  auto store = Open();
  EXPECT_THAT(std::string(store->GetReport("latest").status().message()), HasSubstr("holds none; 'dsocrctl run'"));
  ASSERT_TRUE(store->PutReport(Report("r-1824"), "").ok());
  const absl::Status status = store->GetReport("r-1842").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(std::string(status.message()),
            "no report 'r-1842': not in " + Url() + "; did you mean 'r-1824'? 'dsocrctl list' shows all 1");
  EXPECT_EQ(store->GetSummary("a\nb").status().message().find('\n'), absl::string_view::npos);
  EXPECT_EQ(store->DeleteReport("latest").code(), absl::StatusCode::kNotFound);
}

TEST_F(StoreTest, ADeletedReportIsGone) {
  auto store = Open();
  ASSERT_TRUE(store->PutReport(Report("r-1"), "d").ok());
  ASSERT_TRUE(store->DeleteReport("r-1").ok());
  EXPECT_EQ(store->GetReport("r-1").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(*store->FindByDigest("d"), std::nullopt);
  EXPECT_EQ(*store->CountReports(), 0);
}

TEST_F(StoreTest, FindsTheRunsThatACrashCutOff) {
  auto store = Open();
  ASSERT_TRUE(store->PutRun(RunOf("p-1", v1::RUN_STATE_MEASURING)).ok());
  ASSERT_TRUE(store->PutRun(RunOf("p-2", v1::RUN_STATE_QUEUED)).ok());
  ASSERT_TRUE(store->PutRun(RunOf("p-1", v1::RUN_STATE_FAILED)).ok());
  const auto interrupted = store->InterruptedRuns();
  ASSERT_TRUE(interrupted.ok()) << interrupted.status();
  ASSERT_THAT(*interrupted, SizeIs(1));
  EXPECT_EQ(interrupted->front().run_id(), "p-2");
  EXPECT_THAT(store->ListRuns({})->runs(), SizeIs(2));
}

TEST_F(StoreTest, ACalibrationHoldsForItsKeyAlone) {
  auto store = Open();
  const CalibrationKey key = {"H200", "bf16", "550", "0.1.0"};
  ASSERT_TRUE(store->PutCalibration({"c-1", key, "old"}).ok());
  ASSERT_TRUE(store->PutCalibration({"c-2", key, "new"}).ok());
  EXPECT_EQ((*store->FindCalibration(key))->json, "new");
  EXPECT_FALSE(store->FindCalibration({"H200", "bf16", "551", "0.1.0"})->has_value());
  EXPECT_FALSE(store->FindCalibration({"H200", "fp32", "550", "0.1.0"})->has_value());
  EXPECT_FALSE(store->FindCalibration({"H200", "bf16", "550", "0.1.0", "2.11.0"})->has_value());
  EXPECT_EQ(store->PutCalibration({"c-1", key, "other"}).code(), absl::StatusCode::kAlreadyExists);
  const auto stale = *store->FindCalibrationOfAnyVersion({"H200", "bf16", "551", "0.2.0"});
  EXPECT_EQ(stale->id, "c-2");
  EXPECT_EQ(stale->key.driver, "550");
  EXPECT_FALSE(store->FindCalibrationOfAnyVersion({"H200", "fp32", "550", "0.1.0"})->has_value());
}

TEST_F(StoreTest, RefusesUrlsAndFilesThatAreNotItsOwn) {
  for (const char* url : {"", "sqlite:", "postgresql://host/db", "/var/lib/dsocr.db"}) {
    EXPECT_EQ(Store::Open(url).status().code(), absl::StatusCode::kInvalidArgument) << url;
  }
  std::filesystem::create_directories(path_.parent_path());
  std::ofstream(path_) << std::string(4096, 'x');
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kDataLoss);
  std::filesystem::remove(path_);
  Execute("CREATE TABLE theirs (x)");
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(OpenError().message()), HasSubstr("another program's"));
}

TEST_F(StoreTest, RefusesTheFileOfANewerVersion) {
  Open();
  Execute("PRAGMA user_version = 999");
  EXPECT_EQ(OpenError().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(OpenError().message()), HasSubstr("version 999"));
}

TEST_F(StoreTest, ADamagedRowIsNamed) {
  auto store = Open();
  ASSERT_TRUE(store->PutReport(Report("r-1"), "").ok());
  Execute("UPDATE report SET report = x'ff'");
  const absl::Status status = store->GetReport("r-1").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("'r-1'"));
  EXPECT_TRUE(store->GetSummary("r-1").ok());
}

TEST_F(StoreTest, ReadersAndWritersOfManyThreadsDoNotDisturbEachOther) {
  constexpr int kThreads = 4;
  constexpr int kReports = 10;
  auto store = Open();
  ASSERT_TRUE(store->PutReport(Report("r-first"), "").ok());
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&store, t] {
      for (int i = 0; i < kReports; ++i) {
        EXPECT_TRUE(store->PutReport(Report("r-" + std::to_string(t) + "-" + std::to_string(i)), "").ok());
        EXPECT_TRUE(store->GetReport("r-first").ok());
        EXPECT_TRUE(store->GetSummary("latest").ok());
        EXPECT_TRUE(store->ListReports({}).ok());
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(*store->CountReports(), kThreads * kReports + 1);
}

TEST_F(StoreTest, AnAcknowledgedWriteSurvivesAKill) {
  Open();  // the schema, so that the child's first write is a report
  int acknowledged[2];
  ASSERT_EQ(pipe(acknowledged), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    auto store = Store::Open(Url());
    for (char i = 0;; ++i) {
      if (!store.ok() || !(*store)->PutReport(Report("r-" + std::to_string(i)), "").ok() ||
          write(acknowledged[1], &i, 1) != 1) {
        _exit(1);
      }
    }
  }
  constexpr int kBeforeKill = 20;
  for (int i = 0; i < kBeforeKill; ++i) {
    char number = 0;
    ASSERT_EQ(read(acknowledged[0], &number, 1), 1);
    ASSERT_EQ(number, i);
  }
  kill(child, SIGKILL);
  waitpid(child, nullptr, 0);
  close(acknowledged[0]);
  close(acknowledged[1]);
  auto store = Open();
  for (int i = 0; i < kBeforeKill; ++i) {
    EXPECT_TRUE(store->GetReport("r-" + std::to_string(i)).ok()) << i;
  }
}

TEST(NewId, IsAPrefixAndTwelveHexDigitsThatDiffer) {
  std::set<std::string> ids;
  for (int i = 0; i < 1000; ++i) {
    ids.insert(NewId("r"));
  }
  EXPECT_THAT(ids, SizeIs(1000));
  for (const std::string& id : ids) {
    ASSERT_EQ(id.size(), 14u);
    EXPECT_EQ(id.substr(0, 2), "r-");
    EXPECT_EQ(id.find_first_not_of("0123456789abcdef", 2), std::string::npos);
  }
}

}  // namespace
}  // namespace dsocr::store
