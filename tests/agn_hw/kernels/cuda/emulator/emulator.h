// CUDA on a processor, for tests: the kernels' own source is compiled by g++ with this file before it.
//
// Every thread of a block is a fiber (fibers.h); blocks run one after another (launch.h). Fibers change only where
// threads have to wait for each other: at barriers of the block (block.h) and at collectives of a warp (warp.h). What
// CUDA leaves undefined is made visible: memory that nothing was written to holds garbage, copies in flight arrive as
// late as they may (copies.h), the order of threads can be turned round or shuffled, blocks that write the same bytes
// (races.h) and wrong addresses (failures.h) end in an error.
#pragma once

#include "arithmetic.h"
#include "block.h"
#include "copies.h"
#include "failures.h"
#include "fibers.h"
#include "races.h"
#include "warp.h"
