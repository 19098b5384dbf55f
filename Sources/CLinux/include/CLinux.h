// The umbrella of this module: what Swift cannot say of Linux. Nothing in here decides anything.
#pragma once
#include "guest.h"
#include "host.h"
#include "machine_memory.h"
#include "machine.h"
#include "jail.h"
