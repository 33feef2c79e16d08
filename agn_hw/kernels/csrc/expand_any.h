// Looks every byte up in a table of 256.

namespace agn {
namespace {

inline void expand(const uint8_t *table, const uint8_t *x, int64_t count, uint8_t *y) {
  for (int64_t i = 0; i < count; ++i) y[i] = table[x[i]];
}

}  // namespace
}  // namespace agn
