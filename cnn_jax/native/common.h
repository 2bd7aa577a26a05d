// What the operations share: vectors of floats, memory for them, and work divided among threads.

#pragma once

#if defined(__AVX512F__)
#include <immintrin.h>
#endif

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>

namespace cnn_jax {

// The floats of a vector, and how many vectors of sums stay in registers beside their factors.
#if defined(__AVX512F__)
constexpr int LANES = 16, SUMS = 28;
#elif defined(__AVX__)
constexpr int LANES = 8, SUMS = 12;
#else
constexpr int LANES = 4, SUMS = 12;
#endif

// They need not lie on a multiple of their size, and are slower where they don't.
typedef float Vector __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

// The first numbers of a vector, zeros behind them.
inline Vector LoadPart(const float* from, int64_t count) {
  if (count >= LANES) return *reinterpret_cast<const Vector*>(from);
#if defined(__AVX512F__)
  return reinterpret_cast<Vector>(
      _mm512_maskz_loadu_ps(static_cast<__mmask16>((1 << count) - 1), from));
#else
  Vector to = {};
  std::memcpy(&to, from, 4 * count);
  return to;
#endif
}

inline void StorePart(float* to, const Vector& from, int64_t count) {
  if (count >= LANES) {
    *reinterpret_cast<Vector*>(to) = from;
    return;
  }
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1 << count) - 1), reinterpret_cast<__m512>(from));
#else
  std::memcpy(to, &from, 4 * count);
#endif
}

struct Free {
  void operator()(float* memory) const { std::free(memory); }
};
using Floats = std::unique_ptr<float[], Free>;

constexpr int64_t Up(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// At the beginning of a line of the cache, with nothing in it.
inline Floats NewFloats(int64_t count) {
  return Floats(static_cast<float*>(std::aligned_alloc(64, Up(4 * count + 64, 64))));
}

// Calls task(0) to task(count - 1), each once, on several threads, and waits for them.
struct Threads {
  int64_t count;
  std::function<void(int64_t, std::function<void(int64_t)>)> for_all;
};

}  // namespace cnn_jax
