// The gradient of a convolution by its kernel where a group has fewer features than a vector lanes
// (`kernel_gradient.h` says what is summed).
//
// A vector holds the features of several groups. A row of the input is spread for it, so that lane
// by lane a vector has the c-th channel of that feature's group. Then the product of a group is one
// of vectors, lane by lane, and no lane is idle.

#pragma once

#include <algorithm>
#include <cstring>
#include <vector>

#include "common.h"
#include "conv_shape.h"
#include "kernel_gradient.h"

namespace cnn_jax {

constexpr int kMaxNumbers = 12;  // (j, c) of a window's row whose sums stay in registers

// Adds, over a row of pixels, vectors of the input times the gradient's to `numbers` sums.
template <int numbers>
void AccumulateLanes(const float* in, int64_t in_apart, const float* gradient, int64_t apart,
                     int64_t pixels, int64_t features, float* out) {
  Vector sums[numbers];
#pragma GCC unroll 12
  for (int i = 0; i < numbers; ++i) sums[i] = reinterpret_cast<const Vector*>(out)[i];
  for (int64_t p = 0; p < pixels; ++p, in += in_apart, gradient += apart) {
    __builtin_prefetch(gradient + kCopyPrefetchDistance * apart);
    const Vector by = LoadPartial(gradient, features);
#pragma GCC unroll 12
    for (int i = 0; i < numbers; ++i) sums[i] += reinterpret_cast<const Vector*>(in)[i] * by;
  }
#pragma GCC unroll 12
  for (int i = 0; i < numbers; ++i) reinterpret_cast<Vector*>(out)[i] = sums[i];
}

using LanesFn = void (*)(const float*, int64_t, const float*, int64_t, int64_t, int64_t, float*);

class GroupedKernelGradient {
 public:
  static bool Supports(const ConvShape& c) {
    return c.groups > 1 && c.GroupFeatures() < kLanes && kLanes % c.GroupFeatures() == 0;
  }

  GroupedKernelGradient(const ConvShape& c, const float* in, const float* gradient, float* out)
      : c_(c), in_(in), gradient_(gradient), out_(out) {
    width_ = (c.across - 1) * c.stride_x + c.window_x;
    numbers_ = c.window_x * c.GroupChannels();
  }

  void RunAll(const Threads& threads) {
    threads.parallel_for((c_.features + kLanes - 1) / kLanes, [&](int64_t i) { Run(i * kLanes); });
  }

 private:
  // The features [f, f + kLanes), as far as there are.
  void Run(int64_t f) const {
    static constexpr auto add =
        FunctionTable<LanesFn, kMaxNumbers>([](auto n) { return &AccumulateLanes<n.value>; });
    const int64_t features = std::min<int64_t>(kLanes, c_.features - f);
    const int64_t row = width_ * c_.GroupChannels() * kLanes, sums_row = numbers_ * kLanes;
    const FloatBuffer rows = AllocateFloats(c_.window_y * row),
                      sums = AllocateFloats(c_.window_y * sums_row);
    std::fill_n(sums.get(), c_.window_y * sums_row, 0.0f);
    for (int64_t n = 0; n < c_.batch; ++n) {
      std::vector<int64_t> cached(c_.window_y, -1);  // the input's rows that are spread
      for (int64_t y = 0; y < c_.down; ++y)
        for (int64_t i = 0; i < c_.window_y; ++i) {
          const int64_t in_y = y * c_.stride_y + i - c_.top, slot = (in_y + c_.top) % c_.window_y;
          if (in_y < 0 || in_y >= c_.height) continue;
          float* spread = rows.get() + slot * row;
          if (cached[slot] != in_y) SpreadRow(n, in_y, f, features, spread);
          cached[slot] = in_y;
          const float* by = gradient_ + (n * c_.down + y) * c_.across * c_.features + f;
          for (int64_t k = 0; k < numbers_; k += kMaxNumbers)
            add[std::min<int64_t>(kMaxNumbers, numbers_ - k)](
                spread + k * kLanes, c_.stride_x * c_.GroupChannels() * kLanes, by, c_.features,
                c_.across, features, sums.get() + i * sums_row + k * kLanes);
        }
    }
    for (int64_t k = 0; k < c_.window_y * numbers_; ++k)
      std::memcpy(out_ + k * c_.features + f, sums.get() + k * kLanes, 4 * features);
  }

  // A row with its padding, [pixels][channels of a group][kLanes].
  void SpreadRow(int64_t n, int64_t y, int64_t f, int64_t features, float* to) const {
    const int64_t depth = c_.GroupChannels(), first = f / c_.GroupFeatures() * depth;
    const int64_t available = features / c_.GroupFeatures() * depth;
    const float* from = in_ + (n * c_.height + y) * c_.width * c_.channels + first;
    int32_t lanes[kLanes] = {};  // channels that these have, behind c
    for (int64_t l = 0; l < features; ++l) lanes[l] = l / c_.GroupFeatures() * depth;
    for (int64_t x = -c_.left; x < width_ - c_.left; ++x, to += depth * kLanes) {
      __builtin_prefetch(from + (x + kCopyPrefetchDistance) * c_.channels);
      if (x < 0 || x >= c_.width)
        std::fill_n(to, depth * kLanes, 0.0f);
      else if (available <= kLanes)
        SpreadVector(LoadPartial(from + x * c_.channels, available), lanes, depth, to);
      else
        for (int64_t c = 0; c < depth; ++c)
          for (int64_t l = 0; l < kLanes; ++l)
            to[c * kLanes + l] = from[x * c_.channels + c + lanes[l]];
    }
  }

  // All channels of the groups are in one vector.
  static void SpreadVector(const Vector& from, const int32_t* lanes, int64_t depth, float* to) {
#if defined(__AVX512F__)
    __m512i places = _mm512_loadu_si512(lanes);
    for (int64_t c = 0; c < depth; ++c, places = _mm512_add_epi32(places, _mm512_set1_epi32(1)))
      _mm512_storeu_ps(to + c * kLanes,
                       _mm512_permutexvar_ps(places, reinterpret_cast<__m512>(from)));
#elif defined(__AVX2__)
    __m256i places = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(lanes));
    for (int64_t c = 0; c < depth; ++c, places = _mm256_add_epi32(places, _mm256_set1_epi32(1)))
      _mm256_storeu_ps(to + c * kLanes,
                       _mm256_permutevar8x32_ps(reinterpret_cast<__m256>(from), places));
#else
    for (int64_t c = 0; c < depth; ++c)
      for (int64_t l = 0; l < kLanes; ++l) to[c * kLanes + l] = from[(c + lanes[l]) % kLanes];
#endif
  }

  const ConvShape& c_;
  const float *in_, *gradient_;
  float* out_;
  int64_t width_, numbers_;  // pixels of a spread row; (j, c) of a window's row
};

}  // namespace cnn_jax
