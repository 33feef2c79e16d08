// Splits a table into int8 products, constants and residual bytes.
//
// For one weight the entries t(x) are written s * x + c + r(x) with 0 <= r, and s is chosen so that the largest r is
// smallest. That range is a convex function of s (a maximum of linear functions of s): downhill leads to the best.
#include <algorithm>
#include <cstddef>
#include <cstring>
#include <vector>

#include "kernels.h"
#include "monomials.h"
#include "transpose.h"

namespace agn {
namespace {

constexpr int32_t kExactFloat = 1 << 22;  // tables up to here are searched in float32, without rounding
constexpr int kMostSlopes = 3;             // int8 factors that add up to a weight's slope

// Walks downhill from a first guess in growing steps, then in ones.
int best_slope(const float *entries, const float *x, int guess, float &range) {
  const auto range_at = chosen().range_at;
  int slope = std::clamp(guess, -128 * kMostSlopes, 127 * kMostSlopes);
  range = range_at(entries, x, static_cast<float>(slope));
  for (int step = 1, stuck = 0; stuck < 2;) {
    const int next = slope + step;
    const float there = next < -128 * kMostSlopes || next > 127 * kMostSlopes
                            ? range : range_at(entries, x, static_cast<float>(next));
    if (there < range) {
      slope = next, range = there, stuck = 0, step *= 2;
    } else if (step == 1 || step == -1) {
      step = -step, ++stuck;
    } else {
      step = step > 0 ? 1 : -1;
    }
  }
  return slope;
}

int bytes_for(uint32_t largest) {
  int bytes = 0;
  for (; largest; largest >>= 8) ++bytes;
  return bytes;
}

// The residual's bytes p, in both layouts.
void fill_plane(agn_split &split, int p) {
  for (int w = 0; w < 256; ++w)
    for (int x = 0; x < 256; ++x) split.by_weight[p][w][x] = static_cast<uint8_t>(split.residual[w][x] >> (8 * p));
  transpose_bytes([&](int64_t w) { return split.by_weight[p][w]; }, 256, 256, split.by_activation[p][0], 256);
}

struct Slopes {
  int slope[256];  // in units of 2^shift
  int shift;
  int terms = 1;  // int8 factors that a slope takes
  int cost = 0;   // of a multiplication, in 512ths of a byte plane
};

int cost_of(int terms, const uint32_t *ranges) {
  int planes = 0, bytes = 0;
  for (int w = 0; w < 256; ++w) {
    planes = std::max(planes, bytes_for(ranges[w]));
    bytes += bytes_for(ranges[w]);
  }
  return 256 * planes + chosen().term_cost * terms + bytes;
}

// The best slopes for activations taken as x ^ flip, whole multiples of 2^shift. Entries are [w][x].
Slopes find_slopes(const float *entries, int flip, int shift) {
  Slopes found;
  found.shift = shift;
  float x[256];
  uint32_t ranges[256];
  for (int i = 0; i < 256; ++i) x[i] = static_cast<float>((i ^ flip) << shift);
  for (int w = 0; w < 256; ++w) {
    const float *row = entries + w * 256;
    const int guess = static_cast<int>((row[255 ^ flip] - row[flip]) / (x[255 ^ flip] - x[flip]));
    float range;
    const int slope = found.slope[w] = best_slope(row, x, guess, range);
    ranges[w] = static_cast<uint32_t>(range);
    while (slope < -128 * found.terms || slope > 127 * found.terms) ++found.terms;
  }
  found.cost = cost_of(found.terms, ranges);
  return found;
}

int cost_without(const float *entries) {
  static const float kZeros[256] = {};
  uint32_t ranges[256];
  for (int w = 0; w < 256; ++w) ranges[w] = static_cast<uint32_t>(chosen().range_at(entries + w * 256, kZeros, 0));
  return cost_of(0, ranges);
}

void use_slopes(const Slopes &slopes, int flip, agn_split &split) {
  split.terms = slopes.terms;
  split.scaled = 0;
  split.shift = slopes.shift;
  for (int w = 0; w < 256; ++w)
    for (int t = 0, rest = slopes.slope[w]; t < slopes.terms; ++t) {
      const int part = std::clamp(rest, -128, 127);
      split.factor[t][w] = static_cast<int8_t>(part);
      split.expand[t][w] = static_cast<uint8_t>(w ^ flip);
      rest -= part;
    }
}

// The cheapest of no terms, monomials and slopes.
void choose_terms(const int32_t *table, const float *entries, agn_split &split) {
  const int term = chosen().term_cost;
  int least = cost_without(entries);
  if (find_monomials(table, split)) {
    const int cost = term * split.terms;
    if (cost > least) split.terms = split.scaled = split.shift = 0;
    least = std::min(least, cost);
  }
  for (int flip : {0, 0x80})
    for (int shift : {0, 1}) {  // a magnitude of seven bits often goes through an eight-bit port doubled
      if (least <= term + 512) return;  // no more than a slope and one residual byte
      const Slopes found = find_slopes(entries, flip, shift);
      if (found.cost < least) use_slopes(found, flip, split);
      least = std::min(least, found.cost);
      if (found.terms == 1) break;
    }
}

}  // namespace
}  // namespace agn

int64_t agn_split_bytes() { return sizeof(agn_split); }

void agn_split_residual(const int32_t *table, agn_split *split) {
  split->planes = 0;
  agn::transpose_words(table, 256, 256, 256, reinterpret_cast<int32_t *>(split->residual), 256);
  for (int w = 0; w < 256; ++w) {
    uint32_t *rest = split->residual[w];
    for (int t = 0; t < split->terms; ++t) {
      const auto factor = static_cast<uint32_t>(split->factor[t][w] * (t < split->scaled ? 256 : 1)) << split->shift;
      for (int x = 0; x < 256; ++x) rest[x] -= split->expand[t][x] * factor;
    }
    // The smallest entry as a signed number; where entries lie further apart than 2^31, the rest wraps instead.
    int32_t low = static_cast<int32_t>(rest[0]);
    for (int x = 0; x < 256; ++x) low = std::min(low, static_cast<int32_t>(rest[x]));
    uint32_t high = 0;
    for (int x = 0; x < 256; ++x) high = std::max(high, rest[x] -= static_cast<uint32_t>(low));
    split->constants[w] = low;
    split->planes_of_weight[w] = static_cast<uint8_t>(agn::bytes_for(high));
    split->planes = std::max<int32_t>(split->planes, split->planes_of_weight[w]);
  }
  for (int p = 0; p < split->planes; ++p) agn::fill_plane(*split, p);
}

void agn_split_table(const int32_t *table, int slopes, agn_split *split) {
  std::memset(split, 0, offsetof(agn_split, by_activation));
  const auto [low, high] = std::minmax_element(table, table + 65536);
  if (slopes && *high <= agn::kExactFloat && *low >= -agn::kExactFloat) {
    agn::transpose_words(table, 256, 256, 256, reinterpret_cast<int32_t *>(split->residual), 256);
    std::vector<float> entries(65536);
    for (size_t i = 0; i < entries.size(); ++i)
      entries[i] = static_cast<float>(static_cast<int32_t>(split->residual[i / 256][i % 256]));
    agn::choose_terms(table, entries.data(), *split);
  }
  agn_split_residual(table, split);
}
