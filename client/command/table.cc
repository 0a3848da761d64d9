#include "client/command/commands.h"
#include "client/command_line.h"

namespace dsocr::client {

const std::vector<Command>& Commands() {
  static const auto& commands =
      *new std::vector<Command>{RunCommand(),          SummaryCommand(),       ModelCommand(),
                                ListCommand(),         ExportCommand(),        CheckCommand(),
                                DeleteCommand(),       AnalyzeCommand(),       WhatIfCommand(),
                                DiffCommand(),         ValidateCommand(),      CalibrateCommand(),
                                CalibrateFitCommand(), CalibrateEvalCommand(), LaunchCommand(),
                                PsCommand(),           AttachCommand(),        DetachCommand(),
                                ModelsCommand(),       WorkloadsCommand(),     DescribeWorkloadCommand(),
                                DevicesCommand(),      KernelsCommand(),       StatusCommand(),
                                VersionCommand(),      CompletionCommand()};
  return commands;
}

const std::vector<std::string_view>& LaterCommands() {
  static const auto& names = *new std::vector<std::string_view>{"import"};
  return names;
}

}  // namespace dsocr::client
