// The layer documents: summary.md and a page a module, in which every figure of the report can be checked by hand.
//
// A leaf's page has the formulas of its operators, the numbers of this workload put in, the terms of the time, and the
// sum that is the figure in the report; a parent's the table of its children, whose sums are its figures.
// Deterministic; nothing in it depends on time, run or place. Pure; safe from any thread.
#ifndef DSOCR_DAEMON_EXPORT_LAYER_PAGES_H_
#define DSOCR_DAEMON_EXPORT_LAYER_PAGES_H_

#include <string>
#include <vector>

#include "analytic/device/device.h"
#include "analytic/model_spec.h"
#include "analytic/workload.h"
#include "dsocr/v1/report.pb.h"

namespace dsocr::exporter {

struct Page {
  std::string file_name;
  std::string text;
};

// What the predicted half of a report was made from. Borrowed.
struct Origin {
  const analytic::ModelSpec& model;
  const analytic::Workload& workload;
  const analytic::Device& device;
};

// summary.md, then a page a module in the order of modules[]. A module's file is its id with '/' as '.', '[' as '-',
// ']' gone, ',' as '_', and ".md"; ids of foreign jobs are cut to what a file name can hold and made unique.
// `origin`: null for a job whose model is not known; its pages show what was measured.
// REQUIRES: Predict accepts `origin`.
std::vector<Page> LayerPages(const v1::AnalyticModelReport& report, const Origin* origin);

}  // namespace dsocr::exporter

#endif  // DSOCR_DAEMON_EXPORT_LAYER_PAGES_H_
