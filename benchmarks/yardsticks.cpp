/* The obvious table products, as yardsticks: y[m][n] = sum over k of lut[x[m][k]][w[n][k]].
 * x is uint8 [rows][depth], lut int32 [256][256], y int32 [rows][columns]; rows are shared among threads. */
#include <cstdint>
#include <thread>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

struct Product {
  const uint8_t *x;
  const uint8_t *w;
  const int32_t *lut;
  int32_t *y;
  int64_t depth, columns;
};

static void share(const Product &product, int64_t rows, int threads, void (*work)(Product, int64_t, int64_t)) {
  std::vector<std::thread> others;
  for (int t = 1; t < threads; t++) others.emplace_back(work, product, rows * t / threads, rows * (t + 1) / threads);
  work(product, 0, rows / threads);
  for (auto &thread : others) thread.join();
}

// The empty statement on the sum keeps the compiler from vectorising the loop (gcc 12 puts gathers together by hand).
template <bool kScalar>
static void loop_rows(Product p, int64_t first, int64_t last) {
  for (int64_t m = first; m < last; m++)
    for (int64_t n = 0; n < p.columns; n++) {
      int32_t sum = 0;
      for (int64_t k = 0; k < p.depth; k++) {
        sum += p.lut[p.x[m * p.depth + k] * 256 + p.w[n * p.depth + k]];
        if (kScalar) asm("" : "+r"(sum));
      }
      p.y[m * p.columns + n] = sum;
    }
}

/* One output at a time, one accumulator; w is uint8 [columns][depth]. */
extern "C" void scalar_loop(const uint8_t *x, const uint8_t *w, const int32_t *lut, int32_t *y, int64_t rows,
                            int64_t depth, int64_t columns, int threads) {
  share({x, w, lut, y, depth, columns}, rows, threads, loop_rows<true>);
}

/* The same, left to the compiler's vectoriser. */
extern "C" void compiler_loop(const uint8_t *x, const uint8_t *w, const int32_t *lut, int32_t *y, int64_t rows,
                              int64_t depth, int64_t columns, int threads) {
  share({x, w, lut, y, depth, columns}, rows, threads, loop_rows<false>);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) static void gather_rows(Product p, int64_t first, int64_t last) {
  for (int64_t m = first; m < last; m++)
    for (int64_t n = 0; n < p.columns; n += 8) {
      const uint8_t *weights = p.w + n * p.depth;
      __m256i sum = _mm256_setzero_si256();
      for (int64_t k = 0; k < p.depth; k++) {
        __m128i codes = _mm_loadl_epi64(reinterpret_cast<const __m128i *>(weights + 8 * k));
        const int32_t *row = p.lut + p.x[m * p.depth + k] * 256;
        sum = _mm256_add_epi32(sum, _mm256_i32gather_epi32(row, _mm256_cvtepu8_epi32(codes), 4));
      }
      _mm256_storeu_si256(reinterpret_cast<__m256i *>(p.y + m * p.columns + n), sum);
    }
}

/* Eight outputs at a time; w is uint8 [columns / 8][depth][8], columns a multiple of 8. */
extern "C" void gather_loop(const uint8_t *x, const uint8_t *w, const int32_t *lut, int32_t *y, int64_t rows,
                            int64_t depth, int64_t columns, int threads) {
  share({x, w, lut, y, depth, columns}, rows, threads, gather_rows);
}

extern "C" int has_gather() { return __builtin_cpu_supports("avx2") != 0; }
#else
extern "C" int has_gather() { return 0; }
#endif
