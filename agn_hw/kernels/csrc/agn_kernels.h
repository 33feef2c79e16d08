/* Exact products of matrices through a multiplier's table: y[m][n] = sum over k of table[x[m][k]][w[n][k]].
 *
 * A table is first split (agn_split_table): every entry is a sum of a few int8 products, a constant and up to four
 * residual bytes. The products go through an int8 matrix product, the bytes through byte kernels (row_add.h,
 * add_columns_vbmi.h). Weights are packed once (agn_pack) and multiplied with any number of activations.
 * All arithmetic is modulo 2^32, so results are exact whenever the true sums fit int32; callers check that.
 */
#ifndef AGN_KERNELS_H
#define AGN_KERNELS_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define AGN_MAX_TERMS 16
#define AGN_MAX_PLANES 4

/* table[x][w] = (256 * sum of the first `scaled` terms + sum of the other terms) * 2^shift + constants[w] +
 * residual(x, w), where term t is expand[t][x] * factor[t][w] and residual(x, w) = sum over p of
 * by_activation[p][x][w] << 8p. */
typedef struct agn_split {
  int32_t terms;  /* 0..AGN_MAX_TERMS */
  int32_t scaled; /* 0..terms */
  int32_t planes; /* 0..AGN_MAX_PLANES */
  int32_t shift;  /* 0..31 */
  uint8_t expand[AGN_MAX_TERMS][256];
  int8_t factor[AGN_MAX_TERMS][256];
  int32_t constants[256];
  uint8_t planes_of_weight[256];              /* how many residual bytes each weight code needs */
  uint8_t by_activation[AGN_MAX_PLANES][256][256]; /* [plane][x][w] */
  uint8_t by_weight[AGN_MAX_PLANES][256][256];     /* [plane][w][x] */
  uint32_t residual[256][256];                     /* [w][x] */
} agn_split;

/* Which byte kernel adds the residual. */
enum agn_kernel { AGN_ROW_ADD = 1, AGN_COLUMNS = 2 };

typedef struct agn_conv {
  int64_t batch, channels, height, width;   /* of x, NCHW */
  int64_t outputs, kernel_height, kernel_width;
  int64_t stride[2], padding[2], dilation[2], groups;
  int64_t padding_code;                     /* the activation code around the image */
} agn_conv;

/* Requantisation of each output channel's sums to codes, written as float32 instead of the sums:
 * clamp(floor((sum + bias) * factor + 1/2), low, high), exact while |sum + bias| < 2^37 and factor = m / 2^s with
 * whole numbers m < 2^16 and 1 <= s <= 52. */
typedef struct agn_finish {
  const double *bias, *factor; /* [columns] */
  double low, high;            /* whole numbers within int16 */
} agn_finish;

/* Instruction sets: "baseline" (SSE2), "avx2", "avx512" (VBMI and VNNI). */
const char *agn_isa(void);                  /* the one in use: the best of this processor until agn_use_isa */
int agn_use_isa(const char *name);          /* 0, or -1 if this processor lacks it or the name is unknown */

int64_t agn_split_bytes(void);
/* Splits a table int32 [256][256] ([x][w]). With `slopes`, up to two int8 terms (a slope for each weight) are chosen
 * so that the residual needs the fewest bytes; without, the residual is the table less each weight's smallest entry. */
void agn_split_table(const int32_t *table, int slopes, agn_split *split);
/* The caller has set terms, scaled, shift, expand and factor: fills in the rest, the residual being what they leave. */
void agn_split_residual(const int32_t *table, agn_split *split);

/* Weights codes [columns][runs * run]; a run is a stretch of activations that lie side by side in memory. */
int64_t agn_packed_bytes(const agn_split *split, int64_t columns, int64_t runs, int64_t run);
void agn_pack(const agn_split *split, const uint8_t *w, int64_t columns, int64_t runs, int64_t run, void *packed);

/* y [rows][columns] from x [rows][depth], both without gaps; int32 sums, or with `finish` float32 codes.
 * Returns 0, or -1 out of memory. */
int agn_matmul(const agn_split *split, const void *packed, int64_t columns, const uint8_t *x, int64_t rows,
               int64_t depth, const agn_finish *finish, void *y, int threads, int kernel);
/* y NCHW from x NCHW codes, likewise; `packed` has one block per group, one after another. Weights of a group are
 * packed as [outputs / groups][kernel_height][kernel_width][channels / groups], runs and run by agn_conv_runs. */
void agn_conv_runs(const agn_conv *conv, int64_t *runs, int64_t *run);
int agn_conv2d(const agn_split *split, const void *packed, const agn_conv *conv, const uint8_t *x,
               const agn_finish *finish, void *y, int threads, int kernel);

/* The same requantisation of sums [batch][channels][size], float32 (`floating`, whole numbers below 2^24) or int32. */
void agn_requantize(const void *sums, int floating, int64_t batch, int64_t channels, int64_t size,
                    const agn_finish *finish, float *y, int threads);
/* y = clamp(floor(left * first + right * second + 1/2), low, high) of codes in float32. */
void agn_add_codes(const float *left, const float *right, int64_t count, double first, double second, double low,
                   double high, float *y, int threads);
/* A 64-bit hash, to notice that memory has changed. */
uint64_t agn_fingerprint(const void *memory, int64_t bytes);

#ifdef __cplusplus
}
#endif
#endif
