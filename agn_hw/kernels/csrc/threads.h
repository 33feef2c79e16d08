// Runs tasks on several threads: torch's own OpenMP threads where they are loaded, else threads started here.
#pragma once

#include <cstdint>
#include <functional>

namespace agn {

// Calls body(task) for every task in 0 .. tasks - 1, on up to `threads` threads; returns when all are done.
void parallel(int threads, int64_t tasks, const std::function<void(int64_t)> &body);

}  // namespace agn
