#include "daemon/export/markdown.h"
