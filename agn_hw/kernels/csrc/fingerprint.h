// A hash of memory, as fast as memory is read. Each 32-bit lane takes every 64th word: xor, multiplication by an odd
// number and a shift-xor are all reversible, so one changed word always changes its lane.

namespace agn {
namespace {

typedef uint32_t HashLanes __attribute__((vector_size(V)));
constexpr int kHashVectors = 256 / V;

inline void mix(HashLanes (&lanes)[kHashVectors], const char *block) {
#pragma GCC unroll 16
  for (int i = 0; i < kHashVectors; ++i) {
    HashLanes words;
    std::memcpy(&words, block + i * V, V);
    lanes[i] = (lanes[i] ^ words) * 0x9e3779b1u;
    lanes[i] ^= lanes[i] >> 15;
  }
}

uint64_t fingerprint(const void *memory, int64_t bytes) {
  HashLanes lanes[kHashVectors];
  uint32_t words[64];
  char last[256] = {};
  const char *at = static_cast<const char *>(memory);
  for (int i = 0; i < 64; ++i) words[i] = static_cast<uint32_t>(bytes) + static_cast<uint32_t>(i) * 0x85ebca6bu;
  std::memcpy(lanes, words, sizeof(words));
  int64_t left = bytes;
  for (; left >= 256; left -= 256, at += 256) mix(lanes, at);
  if (left > 0) {
    std::memcpy(last, at, static_cast<size_t>(left));
    mix(lanes, last);
  }
  std::memcpy(words, lanes, sizeof(words));
  uint64_t all = 0;
  for (uint32_t word : words) {
    all = (all ^ word) * 0x9e3779b97f4a7c15u;
    all ^= all >> 29;
  }
  return all;
}

}  // namespace
}  // namespace agn
