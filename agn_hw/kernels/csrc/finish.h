// Requantisation of sums: y = clamp(floor((sum + bias) * factor + 1/2), low, high). All values stay below 2^53, so
// double arithmetic is exact; clamping first makes rounding down a conversion of a number that is not negative.

namespace agn {
namespace {

inline float code_of(double value, double low, double high) {
  value = value >= low ? value : low;  // what is no number becomes low
  value = value > high ? high : value;
  return static_cast<float>(static_cast<int32_t>(value - low)) + static_cast<float>(low);
}

void finish_rows(const agn_finish &finish, int64_t column, int64_t rows, int width, int32_t *c, int64_t stride) {
  const double *bias = finish.bias + column, *factor = finish.factor + column;
  const double low = finish.low, high = finish.high;
  for (int64_t m = 0; m < rows; ++m) {
    int32_t *row = c + m * stride;
    for (int n = 0; n < width; ++n) {
      const float code = code_of((static_cast<double>(row[n]) + bias[n]) * factor[n] + 0.5, low, high);
      std::memcpy(row + n, &code, sizeof(code));
    }
  }
}

template <class Number>
void finish_numbers(const Number *sums, int64_t count, double bias, double factor, double low, double high, float *y) {
  for (int64_t i = 0; i < count; ++i)
    y[i] = code_of((static_cast<double>(sums[i]) + bias) * factor + 0.5, low, high);
}

void finish_plane(const void *sums, bool floating, int64_t count, double bias, double factor, double low, double high,
                  float *y) {
  if (floating) return finish_numbers(static_cast<const float *>(sums), count, bias, factor, low, high, y);
  finish_numbers(static_cast<const int32_t *>(sums), count, bias, factor, low, high, y);
}

void add_codes(const float *left, const float *right, int64_t count, double first, double second, double low,
               double high, float *y) {
  for (int64_t i = 0; i < count; ++i)
    y[i] = code_of(static_cast<double>(left[i]) * first + static_cast<double>(right[i]) * second + 0.5, low, high);
}

}  // namespace
}  // namespace agn
