// How well operator laws predict public measured tables: by class and number of rows, across devices, and what each
// term buys. Reads reference/op_tables; prints markdown.
//
//   build/tests/operator_laws_study [few|transfer|terms|speed] [SPLITS]
#include <cstdlib>
#include <ctime>
#include <string>

#include "analytic/law/fit.h"
#include "analytic/law/physics.h"
#include "fmt/format.h"
#include "tests/analytic/law/op_table.h"

namespace {

using namespace dsocr::analytic;

struct Table {
  const char* name;
  Device device;
  std::vector<Sample> samples;
};

struct Classes {
  const char* name;
  std::vector<LawClass> classes;
};
const Classes kClasses[] = {{"gemm, all m", {LawClass::kGemm, LawClass::kSkinnyGemm}},
                            {"encoder attention", {LawClass::kEncoderAttention}},
                            {"prefill attention", {LawClass::kPrefillAttention}},
                            {"moe", {LawClass::kMoe}}};

std::string Cells(const Accuracy& a) {
  return fmt::format("{:.2f} | {:.2f} | {:.1f} | {:.1f} | {:.1f} | {:.2f}", 100 * a.mape, 100 * a.median, 100 * a.p90,
                     100 * a.cover_50, 100 * a.cover_90, a.width_90);
}

void Row(const std::string& label, const Accuracy& a) {
  fmt::print("| {} | {} |\n", label, Cells(a));
  std::fflush(stdout);
}

void Head(const char* title) {
  fmt::print("\n{}\n\n| | MAPE % | median | p90 | in 50 % | in 90 % | x/÷ |\n|---|---|---|---|---|---|---|\n", title);
}

Estimate Point(double ns) { return {.ns = ns, .high_90_ns = ns}; }

// The mean over the splits of what one way to predict makes of them.
template <typename Predict>
double MeanError(const Table& table, const std::vector<Sample>& samples, size_t rows, int splits, Predict&& predict) {
  double sum = 0;
  for (int seed = 0; seed < splits; ++seed) {
    const Split split = Draw(samples, rows, 0.5, static_cast<uint64_t>(seed));
    const LawModel model = FitLaws(table.device, split.train).value();
    sum += Judge(split.test, [&](const Sample& s) { return Point(predict(model, s)); }).mape;
  }
  return 100 * sum / splits;
}

void FewRows(const std::vector<Table>& tables, int splits) {
  for (const Table& table : tables) {
    Head(table.name);
    for (const Classes& of : kClasses) {
      const std::vector<Sample> samples = OfClasses(table.samples, of.classes);
      if (samples.empty()) {
        continue;
      }
      for (const size_t rows : {12, 20, 60, 100, 200, 600}) {
        Row(fmt::format("{}, {} rows", of.name, rows), Study(table.device, samples, rows, 0.5, splits));
      }
      if (of.classes.front() == LawClass::kMoe) {
        Row("moe, one model left out", LeaveOneModelOut(table.device, samples));
      }
      const auto roofline = [&](const LawModel&, const Sample& s) {
        return RooflineNs(table.device, s.size, s.precision);
      };
      const auto padded = [&](const LawModel&, const Sample& s) {
        return PaddedRooflineNs(table.device, s.size, s.precision);
      };
      const auto nearest = [](const LawModel& m, const Sample& s) { return NearestNs(m, s.size, s.precision); };
      fmt::print("| {}, baselines: roofline, padded, nearest of 60 | {:.1f}, {:.1f}, {:.1f} | | | | | |\n", of.name,
                 MeanError(table, samples, 1, 1, roofline), MeanError(table, samples, 1, 1, padded),
                 MeanError(table, samples, 60, std::min(splits, 5), nearest));
    }
  }
}

void Transfers(const std::vector<Table>& tables) {
  for (const Table& from : tables) {
    const LawModel model = FitLaws(from.device, from.samples).value();
    const LawModel nothing = FitLaws(from.device, {}).value();
    for (const Table& to : tables) {
      if (from.device.name == to.device.name) {
        continue;
      }
      Head(fmt::format("{} to {}", from.name, to.name).c_str());
      for (const Classes& of : kClasses) {
        const std::vector<Sample> samples = OfClasses(to.samples, of.classes);
        if (samples.empty()) {
          continue;
        }
        Row(fmt::format("{}, laws of the other", of.name), JudgeModel(model, to.device, samples));
        Row(fmt::format("{}, datasheet alone", of.name), JudgeModel(nothing, to.device, samples));
        const auto roofline = [&](const Sample& s) { return Point(RooflineNs(to.device, s.size, s.precision)); };
        const auto padded = [&](const Sample& s) { return Point(PaddedRooflineNs(to.device, s.size, s.precision)); };
        Row(fmt::format("{}, roofline", of.name), Judge(samples, roofline));
        Row(fmt::format("{}, padded roofline", of.name), Judge(samples, padded));
        const auto lookup = [&](const Sample& s) { return Point(NearestNs(model, s.size, s.precision)); };
        std::vector<Sample> some;
        for (size_t i = 0; i < samples.size(); i += samples.size() / 300 + 1) {
          some.push_back(samples[i]);
        }
        Row(fmt::format("{}, nearest of the other (300 rows)", of.name), Judge(some, lookup));
      }
    }
  }
}

// The laws with one thing taken away.
LawModel Without(const std::string& term, const Table& table, const std::vector<Sample>& train) {
  LawModel model = FitLaws(table.device, train).value();
  LawFit& fit = model.fits.front();
  LawPrior prior = PriorOf(fit.law_class, table.device);
  Device profile = table.device;
  const auto fix = [&prior](LawParameter parameter, double value) {
    prior.mean[parameter] = value;
    prior.sigma[parameter] = 0;
  };
  if (term == "steps") {
    fix(kLogTau, -60);
  } else if (term == "l2") {
    profile.sm_count = 0;
    fix(kLogE2, 0);
    fix(kLogRho, 0);
  } else if (term == "soft maximum") {
    fix(kLogP, std::log(8));
  } else if (term == "fitted physics") {
    prior.sigma = {};
  } else if (term == "prior") {
    for (double& sigma : prior.sigma) {
      sigma *= 10;
    }
  }
  std::vector<int> rows(model.samples.size());
  for (size_t i = 0; i < rows.size(); ++i) {
    rows[i] = static_cast<int>(i);
  }
  fit = FitLaw(profile, prior, model.samples, rows);
  model.device = profile;
  if (term == "correction") {
    fit.weights.assign(fit.weights.size(), 0.0);
  }
  return model;
}

void Terms(const std::vector<Table>& tables, int splits) {
  for (const Table& table : tables) {
    for (const Classes& of : kClasses) {
      const std::vector<Sample> samples = OfClasses(table.samples, of.classes);
      if (samples.empty()) {
        continue;
      }
      fmt::print("\n{}, {}\n\n| without | 20 rows | 60 rows | 600 rows |\n|---|---|---|---|\n", table.name, of.name);
      for (const char* term : {"nothing", "steps", "l2", "soft maximum", "fitted physics", "prior", "correction"}) {
        if (term == std::string("l2") && of.classes.front() != LawClass::kGemm) {
          continue;
        }
        fmt::print("| {} |", term);
        for (const size_t rows : {20, 60, 600}) {
          double sum = 0;
          for (int seed = 0; seed < splits; ++seed) {
            const Split split = Draw(samples, rows, 0.5, static_cast<uint64_t>(seed));
            const LawModel model = Without(term, table, split.train);
            sum += JudgeModel(model, model.device, split.test).mape;
          }
          fmt::print(" {:.2f} |", 100 * sum / splits);
          std::fflush(stdout);
        }
        fmt::print("\n");
      }
    }
  }
}

// Of this processor, so that other jobs do not count.
double SecondsOf(const std::function<void()>& work) {
  const std::clock_t start = std::clock();
  work();
  return static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
}

void Speed(const std::vector<Table>& tables) {
  const Table& table = tables.front();
  for (const size_t rows : {60, 600, 26000}) {
    const Split split = Draw(OfClasses(table.samples, kClasses[0].classes), rows, rows > 600 ? 1 : 0.5, 1);
    LawModel model;
    const double fit_s = SecondsOf([&] { model = FitLaws(table.device, split.train).value(); });
    const std::vector<Sample> test = OfClasses(tables.back().samples, kClasses[0].classes);
    double sum = 0;
    const double predict_s = SecondsOf([&] {
      for (const Sample& s : test) {  // beside the measured sizes
        sum += PredictOperator(model, table.device,
                               {GemmSize{std::get<GemmSize>(s.size).m, std::get<GemmSize>(s.size).n + 1,
                                         std::get<GemmSize>(s.size).k}},
                               s.precision)
                   .ns;
      }
    });
    fmt::print("{} rows: fitted in {:.2f} s, {:.2f} us a prediction ({:.3g})\n", split.train.size(), fit_s,
               1e6 * predict_s / static_cast<double>(test.size()), sum);
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string what = argc > 1 ? argv[1] : "";
  const int splits = argc > 2 ? std::atoi(argv[2]) : 20;
  const std::vector<Table> tables = {{"H100 SXM", *FindDevice("h100-sxm"), ReadOpTable("h100_sxm")},
                                     {"A100 SXM 80 GB", *FindDevice("a100-sxm-80gb"), ReadOpTable("a100_sxm")}};
  if (tables[0].samples.empty() || tables[1].samples.empty()) {
    fmt::print(stderr, "no tables at " DSOCR_SHARED_DIR "/reference/op_tables\n");
    return 1;
  }
  if (what.empty() || what == "few") FewRows(tables, splits);
  if (what.empty() || what == "transfer") Transfers(tables);
  if (what.empty() || what == "terms") Terms(tables, std::min(splits, 8));
  if (what.empty() || what == "speed") Speed(tables);
  return 0;
}
