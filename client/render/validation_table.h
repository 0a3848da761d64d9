// A validation and the history of many, for people: tables, a chart of block characters, markdown.
#ifndef DSOCR_CLIENT_RENDER_VALIDATION_TABLE_H_
#define DSOCR_CLIENT_RENDER_VALIDATION_TABLE_H_

#include <string>
#include <vector>

#include "client/render/table.h"
#include "dsocr/v1/verdict.pb.h"

namespace dsocr::client {

std::string ValidationText(const v1::Validation& validation, bool has_color);
std::string ValidationMarkdown(const v1::Validation& validation);
Table ValidationTable(const v1::Validation& validation);  // a row a case and stage

// Of validations as they are listed, newest first. The chart's time goes from left to right.
std::string HistoryText(const v1::ListValidationsResponse& history, bool has_color);
std::string HistoryMarkdown(const v1::ListValidationsResponse& history);
Table HistoryTable(const v1::ListValidationsResponse& history);  // a row a validation and case

// One block character a value, between the smallest and the largest: "▁▃█". All alike: "▄▄▄".
std::string Sparkline(const std::vector<double>& values);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_RENDER_VALIDATION_TABLE_H_
