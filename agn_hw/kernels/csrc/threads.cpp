#include "threads.h"

#include <dlfcn.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

namespace agn {
namespace {

struct Work {
  std::atomic<int64_t> next{0};
  int64_t tasks;
  const std::function<void(int64_t)> *body;
};

void drain(void *pointer) {
  Work &work = *static_cast<Work *>(pointer);
  for (int64_t task = work.next++; task < work.tasks; task = work.next++) (*work.body)(task);
}

// OpenMP's entry point as gcc calls it. Two thread pools on the same cores wait for each other in busy loops, so the
// one that torch has loaded is used, whichever library it comes from.
using Fork = void (*)(void (*)(void *), void *, unsigned, unsigned);

Fork loaded_openmp() {
  static const Fork fork = reinterpret_cast<Fork>(dlsym(RTLD_DEFAULT, "GOMP_parallel"));
  return fork;
}

}  // namespace

void parallel(int threads, int64_t tasks, const std::function<void(int64_t)> &body) {
  Work work;
  work.tasks = tasks;
  work.body = &body;
  const int64_t wanted = std::min<int64_t>(threads, tasks);
  if (wanted <= 1) return drain(&work);
  if (Fork fork = loaded_openmp()) return fork(drain, &work, static_cast<unsigned>(wanted), 0);
  std::vector<std::thread> others;
  for (int64_t i = 1; i < wanted; ++i) others.emplace_back(drain, &work);
  drain(&work);
  for (std::thread &other : others) other.join();
}

}  // namespace agn
