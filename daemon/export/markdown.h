// A report as Markdown: one page for a reader. Deterministic; pure functions; safe from any thread.
#ifndef DSOCR_DAEMON_EXPORT_MARKDOWN_H_
#define DSOCR_DAEMON_EXPORT_MARKDOWN_H_

#include <string>

#include "dsocr/v1/report.pb.h"

namespace dsocr::exporter {

// `dsocrctl export --format markdown`: what was run, the stages, the top modules, the attribution.
std::string ToMarkdown(const v1::AnalyticModelReport& report);

// Model, workload, totals and notes: what stands on top of every page about a whole report.
std::string HeadTable(const v1::AnalyticModelReport& report);

}  // namespace dsocr::exporter

#endif  // DSOCR_DAEMON_EXPORT_MARKDOWN_H_
