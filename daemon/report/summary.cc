#include "daemon/report/report.h"
