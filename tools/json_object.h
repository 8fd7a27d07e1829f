// Until all of tools/ includes it from where it is.
#pragma once

#include "src/io/json_object.h"
