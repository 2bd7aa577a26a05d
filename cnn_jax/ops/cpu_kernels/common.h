// What the operations share: vectors of floats, memory for them, and work divided among threads.

#pragma once

#if defined(__AVX2__)
#include <immintrin.h>
#endif

#include <array>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

namespace cnn_jax {

// The floats of a vector, the registers that hold one, and how many of them are of sums, beside
// their factors.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kRegisters = 32, kAccumulators = 28;
#elif defined(__AVX__)
constexpr int kLanes = 8, kRegisters = 16, kAccumulators = 12;
#else
constexpr int kLanes = 4, kRegisters = 16, kAccumulators = 12;
#endif

// They need not lie on a multiple of their size, and are slower where they don't.
typedef float Vector __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));

// Where the first lanes are, for loads and stores of some alone. A call of memcpy in a loop would
// put all its sums into memory.
#if defined(__AVX2__) && !defined(__AVX512F__)
inline __m256i FirstLanes(int64_t count) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(count)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#endif

// The first numbers of a vector, zeros behind them.
inline Vector LoadPartial(const float* from, int64_t count) {
  if (count >= kLanes) return *reinterpret_cast<const Vector*>(from);
#if defined(__AVX512F__)
  return reinterpret_cast<Vector>(
      _mm512_maskz_loadu_ps(static_cast<__mmask16>((1 << count) - 1), from));
#elif defined(__AVX2__)
  return reinterpret_cast<Vector>(_mm256_maskload_ps(from, FirstLanes(count)));
#else
  Vector to = {};
  std::memcpy(&to, from, 4 * count);
  return to;
#endif
}

inline void StorePartial(float* to, const Vector& from, int64_t count) {
  if (count >= kLanes) {
    *reinterpret_cast<Vector*>(to) = from;
    return;
  }
#if defined(__AVX512F__)
  _mm512_mask_storeu_ps(to, static_cast<__mmask16>((1 << count) - 1),
                        reinterpret_cast<__m512>(from));
#elif defined(__AVX2__)
  _mm256_maskstore_ps(to, FirstLanes(count), reinterpret_cast<__m256>(from));
#else
  std::memcpy(to, &from, 4 * count);
#endif
}

// Adds a column of numbers times a row of vectors to a block of sums, which stays in registers.
template <int rows, int vectors>
inline __attribute__((always_inline)) void AccumulateProduct(Vector (&sums)[rows][vectors],
                                                             const float* column,
                                                             const float* row) {
  Vector by[vectors];
#pragma GCC unroll 4
  for (int v = 0; v < vectors; ++v) {
    by[v] = reinterpret_cast<const Vector*>(row)[v];
#if defined(__AVX__) && !defined(__AVX512F__)
    asm("" : "+x"(by[v]));  // GCC would load it once more for every row
#endif
  }
#pragma GCC unroll 14
  for (int r = 0; r < rows; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) sums[r][v] += column[r] * by[v];
}

typedef float Vector4 __attribute__((vector_size(16), aligned(4), may_alias));
inline Vector4 LoadVector4(const float* from) { return *reinterpret_cast<const Vector4*>(from); }
inline void StoreVector4(float* to, Vector4 value) { *reinterpret_cast<Vector4*>(to) = value; }

// Rows of numbers to columns: [rows][columns], rows `from_apart`, to [columns][rows], `to_apart`.
inline void Transpose(const float* from, int64_t from_apart, float* to, int64_t to_apart,
                      int64_t rows, int64_t columns) {
  int64_t c = 0;
#if defined(__has_builtin)
#if __has_builtin(__builtin_shufflevector)
  for (; c + 4 <= columns; c += 4) {
    int64_t r = 0;
    for (; r + 4 <= rows; r += 4) {
      const float* row = from + r * from_apart + c;
      float* into = to + c * to_apart + r;
      const Vector4 one = LoadVector4(row), two = LoadVector4(row + from_apart),
                    three = LoadVector4(row + 2 * from_apart),
                    four = LoadVector4(row + 3 * from_apart);
      const Vector4 low = __builtin_shufflevector(one, two, 0, 4, 1, 5),
                    high = __builtin_shufflevector(one, two, 2, 6, 3, 7),
                    more_low = __builtin_shufflevector(three, four, 0, 4, 1, 5),
                    more_high = __builtin_shufflevector(three, four, 2, 6, 3, 7);
      StoreVector4(into, __builtin_shufflevector(low, more_low, 0, 1, 4, 5));
      StoreVector4(into + to_apart, __builtin_shufflevector(low, more_low, 2, 3, 6, 7));
      StoreVector4(into + 2 * to_apart, __builtin_shufflevector(high, more_high, 0, 1, 4, 5));
      StoreVector4(into + 3 * to_apart, __builtin_shufflevector(high, more_high, 2, 3, 6, 7));
    }
    for (; r < rows; ++r)
      for (int64_t n = 0; n < 4; ++n) to[(c + n) * to_apart + r] = from[r * from_apart + c + n];
  }
#endif
#endif
  for (; c < columns; ++c)
    for (int64_t r = 0; r < rows; ++r) to[c * to_apart + r] = from[r * from_apart + c];
}

// The functions make(1) to make(most), at their numbers: of a template, one for each number.
template <typename Function, int most, typename Make, int... numbers>
constexpr std::array<Function, most + 1> FunctionTable(Make make,
                                                       std::integer_sequence<int, numbers...>) {
  return {nullptr, make(std::integral_constant<int, numbers + 1>{})...};
}

template <typename Function, int most, typename Make>
constexpr std::array<Function, most + 1> FunctionTable(Make make) {
  return FunctionTable<Function, most>(make, std::make_integer_sequence<int, most>());
}

struct FreeDeleter {
  void operator()(float* memory) const { std::free(memory); }
};
using FloatBuffer = std::unique_ptr<float[], FreeDeleter>;

constexpr int64_t RoundUp(int64_t n, int64_t to) { return (n + to - 1) / to * to; }

// At the beginning of a line of the cache, with nothing in it.
inline FloatBuffer AllocateFloats(int64_t count) {
  return FloatBuffer(static_cast<float*>(std::aligned_alloc(64, RoundUp(4 * count + 64, 64))));
}

// Calls task(0) to task(count - 1), each once, on several threads, and waits for them.
struct Threads {
  int64_t count;
  std::function<void(int64_t, std::function<void(int64_t)>)> parallel_for;
};

}  // namespace cnn_jax
