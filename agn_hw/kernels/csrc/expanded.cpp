#include "expanded.h"

#include <algorithm>
#include <cstring>

#include "threads.h"

namespace agn {
namespace {

constexpr int64_t kPart = 1 << 18;

bool identity(const uint8_t *table) {
  for (int x = 0; x < 256; ++x)
    if (table[x] != x) return false;
  return true;
}

}  // namespace

int source_of(const agn_split &split, int t) {
  if (identity(split.expand[t])) return -1;
  for (int before = 0; before < t; ++before)
    if (std::memcmp(split.expand[before], split.expand[t], 256) == 0) return before;
  return t;
}

Expanded::Expanded(const agn_split &split, const uint8_t *codes, int64_t count, int threads) {
  for (int t = 0; t < split.terms; ++t) {
    const int source = source_of(split, t);
    if (source != t) {
      terms_.push_back(source < 0 ? codes : terms_[static_cast<size_t>(source)]);
      continue;
    }
    memory_.emplace_back(static_cast<size_t>(count));
    uint8_t *out = memory_.back().data();
    parallel(threads, (count + kPart - 1) / kPart, [&](int64_t part) {
      const int64_t first = part * kPart;
      chosen().expand(split.expand[t], codes + first, std::min(kPart, count - first), out + first);
    });
    terms_.push_back(out);
  }
}

}  // namespace agn
