// Exact int8 terms of tables that are made of few partial products.
//
// The Moebius transform over the bits of x (Rota 1964) writes a table as a sum of rows of w, one for each product of
// x's bits (x & mask) == mask. Arrays with partial products left out have few rows, most of them equal but for a power
// of two: those are one term, as 1 w + 2 w + 4 w + ... is x w. Everything is modulo 2^32.
#include "monomials.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

namespace agn {
namespace {

// Rows that are multiples of one row by plus or minus powers of two: sum over them of multiple * [(x & mask) == mask].
struct Group {
  int32_t row[256];   // odd somewhere, first entry that is not zero positive
  int64_t sums[256];  // of the multiples, by x
  int lowest;         // power of two in all multiples
};

void transform(uint32_t (*rows)[256]) {
  for (int bit = 1; bit < 256; bit *= 2)
    for (int x = 0; x < 256; ++x)
      if (x & bit)
        for (int w = 0; w < 256; ++w) rows[x][w] -= rows[x ^ bit][w];
}

// Divides a row by the largest power of two, which is returned, and by its sign.
int normalise(const uint32_t *row, int32_t *out, int &sign) {
  uint32_t all = 0;
  sign = 0;
  for (int w = 0; w < 256; ++w) {
    all |= row[w];
    if (!sign && row[w]) sign = static_cast<int32_t>(row[w]) < 0 ? -1 : 1;
  }
  const int power = __builtin_ctz(all);
  for (int w = 0; w < 256; ++w)
    out[w] = static_cast<int32_t>(sign < 0 ? 0u - row[w] : row[w]) >> power;
  return power;
}

bool fits(const int64_t *sums, int power) {
  const auto [low, high] = std::minmax_element(sums, sums + 256);
  return (*high - *low) >> power <= 255;
}

// Adds multiple * [(x & mask) == mask] to a group, if its sums still fit a byte.
bool join(Group &group, int mask, int power, int sign) {
  int64_t sums[256];
  for (int x = 0; x < 256; ++x) sums[x] = group.sums[x] + ((x & mask) == mask ? sign * (int64_t{1} << power) : 0);
  const int lowest = std::min(group.lowest, power);
  if (!fits(sums, lowest)) return false;
  std::memcpy(group.sums, sums, sizeof(sums));
  group.lowest = lowest;
  return true;
}

std::vector<Group> find_groups(const uint32_t (*rows)[256]) {
  std::vector<Group> groups;
  for (int mask = 1; mask < 256; ++mask) {
    if (std::all_of(rows[mask], rows[mask] + 256, [](uint32_t entry) { return entry == 0; })) continue;
    Group own{};
    int sign;
    const int power = normalise(rows[mask], own.row, sign);
    own.lowest = power;
    bool joined = false;
    for (Group &group : groups)
      if (!joined && std::memcmp(group.row, own.row, sizeof(own.row)) == 0) joined = join(group, mask, power, sign);
    if (joined) continue;
    if (groups.size() == AGN_MAX_TERMS) return {};
    join(own, mask, power, sign);
    groups.push_back(own);
  }
  return groups;
}

// One term, or two where a factor takes two bytes: the upper one among the scaled terms. False if three were needed.
bool add_terms(const Group &group, int shift, agn_split &upper, agn_split &lower) {
  const int power = group.lowest - shift;
  const int64_t most = *std::max_element(group.row, group.row + 256) * (int64_t{1} << power);
  const int sign = most == 128 ? -1 : 1;  // -128 is an int8, 128 is none
  int64_t sums[256];
  for (int x = 0; x < 256; ++x) sums[x] = sign * group.sums[x];
  const int64_t low = *std::min_element(sums, sums + 256);
  int8_t bytes[2][256];
  bool wide = false;
  for (int w = 0; w < 256; ++w) {
    const int64_t factor = sign * group.row[w] * (int64_t{1} << power);
    bytes[0][w] = static_cast<int8_t>(factor);
    const int64_t rest = (factor - bytes[0][w]) >> 8;
    bytes[1][w] = static_cast<int8_t>(rest);
    if (bytes[1][w] != rest) return false;
    wide |= rest != 0;
  }
  for (int part = 0; part <= (wide ? 1 : 0); ++part) {
    agn_split &terms = part ? upper : lower;
    if (terms.terms == AGN_MAX_TERMS) return false;
    for (int x = 0; x < 256; ++x)
      terms.expand[terms.terms][x] = static_cast<uint8_t>((sums[x] - low) >> group.lowest);
    std::memcpy(terms.factor[terms.terms++], bytes[part], 256);
  }
  return true;
}

}  // namespace

bool find_monomials(const int32_t *table, agn_split &split) {
  std::vector<uint32_t> rows(65536);
  std::memcpy(rows.data(), table, 65536 * sizeof(uint32_t));
  auto *by_mask = reinterpret_cast<uint32_t(*)[256]>(rows.data());
  transform(by_mask);
  const std::vector<Group> groups = find_groups(by_mask);
  if (groups.empty()) return false;
  int shift = 31;
  for (const Group &group : groups) shift = std::min(shift, group.lowest);
  auto upper = std::make_unique<agn_split>(), lower = std::make_unique<agn_split>();
  for (const Group &group : groups)
    if (!add_terms(group, shift, *upper, *lower)) return false;
  if (upper->terms + lower->terms > AGN_MAX_TERMS) return false;
  split.shift = shift;
  split.scaled = upper->terms;
  split.terms = upper->terms + lower->terms;
  std::memcpy(split.expand, upper->expand, static_cast<size_t>(upper->terms) * 256);
  std::memcpy(split.factor, upper->factor, static_cast<size_t>(upper->terms) * 256);
  std::memcpy(split.expand[upper->terms], lower->expand, static_cast<size_t>(lower->terms) * 256);
  std::memcpy(split.factor[upper->terms], lower->factor, static_cast<size_t>(lower->terms) * 256);
  return true;
}

}  // namespace agn
