// dsocrctl from its arguments to its exit code.
#ifndef DSOCR_CLIENT_APP_H_
#define DSOCR_CLIENT_APP_H_

#include <string>
#include <vector>

#include "client/io.h"

namespace dsocr::client {

// `arguments` without the program's name. Errors go to io.Err as one line; nothing is thrown.
int RunApp(const std::vector<std::string>& arguments, Io& io);

}  // namespace dsocr::client

#endif  // DSOCR_CLIENT_APP_H_
