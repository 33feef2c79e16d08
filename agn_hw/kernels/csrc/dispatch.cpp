// Which kernels this processor runs.
#include <cstring>

#include "kernels.h"

namespace agn {
namespace {

bool runs_here(const Kernels &kernels) {
  __builtin_cpu_init();
  if (&kernels == &kAvx512)
    return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
           __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
           __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni");
  if (&kernels == &kAvx2) return __builtin_cpu_supports("avx2");
  return true;
}

const Kernels *const kAll[] = {&kAvx512, &kAvx2, &kBaseline};

const Kernels *best() {
  for (const Kernels *kernels : kAll)
    if (runs_here(*kernels)) return kernels;
  return &kBaseline;
}

const Kernels *&in_use() {
  static const Kernels *kernels = best();
  return kernels;
}

}  // namespace

const Kernels &chosen() { return *in_use(); }

}  // namespace agn

const char *agn_isa() { return agn::chosen().name; }

int agn_use_isa(const char *name) {
  for (const agn::Kernels *kernels : agn::kAll)
    if (std::strcmp(kernels->name, name) == 0 && agn::runs_here(*kernels)) {
      agn::in_use() = kernels;
      return 0;
    }
  return -1;
}
