// The commands, one file each. Every function gives the command's entry of the table in client/command_line.h.
#ifndef DSOCR_CLIENT_COMMAND_COMMANDS_H_
#define DSOCR_CLIENT_COMMAND_COMMANDS_H_

#include <string_view>
#include <vector>

#include "client/command_line.h"

namespace dsocr::client {

Command AnalyzeCommand();
Command AttachCommand();
Command CalibrateCommand();
Command CalibrateEvalCommand();
Command CalibrateFitCommand();
Command CheckCommand();
Command CompletionCommand();
Command DeleteCommand();
Command DescribeWorkloadCommand();
Command DetachCommand();
Command DevicesCommand();
Command DiffCommand();
Command ExportCommand();
Command KernelsCommand();
Command LaunchCommand();
Command ListCommand();
Command ModelCommand();
Command ModelsCommand();
Command PsCommand();
Command RunCommand();
Command StatusCommand();
Command SummaryCommand();
Command ValidateCommand();
Command VersionCommand();
Command WhatIfCommand();
Command WorkloadsCommand();

// -o of a command that prints one result; table is the default, always.
inline const std::vector<std::string_view> kAllOutputs = {"table", "json", "yaml", "csv", "markdown"};

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_COMMAND_COMMANDS_H_
