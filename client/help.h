// Help, made from the table of commands. It opens with examples of real tasks.
#ifndef DSOCR_CLIENT_HELP_H_
#define DSOCR_CLIENT_HELP_H_

#include <string>

#include "client/command_line.h"

namespace dsocr::client {

std::string GeneralHelp();
std::string CommandHelp(const Command& command);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_HELP_H_
