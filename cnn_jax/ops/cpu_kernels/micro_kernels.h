// The innermost loops of a convolution: tiles of sums that stay in registers.

#pragma once

#include <algorithm>
#include <cstdint>

#include "common.h"

namespace cnn_jax {

constexpr int kMaxTilePixels = 14;
constexpr int kMaxPixelVectorFeatures = kAccumulators < 16 ? 6 : 8;  // of a `PixelMicroKernel`
constexpr int kPrefetchDistance = 6;                 // k's that the input is fetched before its use
constexpr int kTermsTogether = kLanes < 16 ? 4 : 1;  // k's a loop: one of wide vectors is long

struct KSegment {  // of k
  int64_t from, to;
};

// The sums of `pixels` x (`vectors` * kLanes) over the segments, of which the first `features` are
// stored, two pixels `apart`; added to what lies there where `add` says so.
template <int pixels, int vectors>
void FeatureMicroKernel(const float* in, const int32_t* offsets, const float* weights,
                        const KSegment* segments, int64_t count, float* out, int64_t apart,
                        int64_t features, bool add) {
  Vector sums[pixels][vectors] = {};
  // All loops over sums are unrolled, or they would not stay in registers.
  if (add)
#pragma GCC unroll 14
    for (int p = 0; p < pixels; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < vectors; ++v) {
        const int64_t left = features - v * kLanes;
        if (left > 0) sums[p][v] = LoadPartial(out + p * apart + v * kLanes, left);
      }
  for (int64_t s = 0; s < count; ++s) {
    const float* row = weights + segments[s].from * vectors * kLanes;
#pragma GCC unroll kTermsTogether
    for (int64_t k = segments[s].from; k < segments[s].to; ++k, row += vectors * kLanes) {
      __builtin_prefetch(in + offsets[k + kPrefetchDistance]);
      AccumulateProduct(sums, in + offsets[k], row);
    }
  }
#pragma GCC unroll 14
  for (int p = 0; p < pixels; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < vectors; ++v) {
      const int64_t left = features - v * kLanes;
      if (left > 0) StorePartial(out + p * apart + v * kLanes, sums[p][v], left);
    }
}

// The same of few features, whose vectors are of `pixels` neighbours: up to `vectors` * kLanes.
template <int features, int vectors>
void PixelMicroKernel(const float* in, const int32_t* offsets, const float* weights,
                      const KSegment& segment, float* out, int64_t apart, int64_t pixels) {
  Vector sums[features][vectors] = {};
  const float* row = weights + segment.from * features;
  for (int64_t k = segment.from; k < segment.to; ++k, row += features)
    AccumulateProduct(sums, row, in + offsets[k]);
  float lines[features][vectors * kLanes];
#pragma GCC unroll 8
  for (int f = 0; f < features; ++f)
#pragma GCC unroll 2
    for (int v = 0; v < vectors; ++v) reinterpret_cast<Vector*>(lines[f])[v] = sums[f][v];
  Transpose(lines[0], vectors * kLanes, out, apart, features, pixels);
}

using FeatureMicroKernelFn = void (*)(const float*, const int32_t*, const float*, const KSegment*,
                                      int64_t, float*, int64_t, int64_t, bool);

constexpr int MaxTilePixels(int vectors) {
  return std::min(kMaxTilePixels, kAccumulators / vectors);
}

template <int vectors>
constexpr auto FeatureMicroKernels() {
  return FunctionTable<FeatureMicroKernelFn, MaxTilePixels(vectors)>(
      [](auto n) { return &FeatureMicroKernel<n.value, vectors>; });
}

// Of so many vectors and pixels.
inline FeatureMicroKernelFn SelectFeatureMicroKernel(int vectors, int64_t pixels) {
  static constexpr auto four = FeatureMicroKernels<4>();
  static constexpr auto two = FeatureMicroKernels<2>();
  static constexpr auto one = FeatureMicroKernels<1>();
  return vectors == 4 ? four[pixels] : vectors == 2 ? two[pixels] : one[pixels];
}

using PixelMicroKernelFn = void (*)(const float*, const int32_t*, const float*, const KSegment&,
                                    float*, int64_t, int64_t);

// Of so many vectors and features.
inline PixelMicroKernelFn SelectPixelMicroKernel(int vectors, int64_t features) {
  static constexpr auto two = FunctionTable<PixelMicroKernelFn, kMaxPixelVectorFeatures>(
      [](auto n) { return &PixelMicroKernel<n.value, 2>; });
  static constexpr auto one = FunctionTable<PixelMicroKernelFn, kMaxPixelVectorFeatures>(
      [](auto n) { return &PixelMicroKernel<n.value, 1>; });
  return vectors == 2 ? two[features] : one[features];
}

}  // namespace cnn_jax
