// The maximum over windows of maps [N, H, W, C], and the gradient by them.
//
// The place of each maximum in its window, counted row by row, is kept in a byte: the first of
// equal numbers. What is not a number wins. Padding never does.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "common.h"
#include "convolve.h"

namespace cnn_jax {

typedef int32_t Integers __attribute__((vector_size(4 * LANES)));
typedef int8_t Bytes __attribute__((vector_size(LANES), aligned(1), may_alias));

class MaxPool {
 public:
  explicit MaxPool(const Convolution& c) : c_(c) {}

  void Forward(const float* in, float* out, int8_t* places, const Threads& threads) const {
    threads.for_all(c_.batch, [&](int64_t n) {
      ForWindows(n, [&](int64_t at, const std::vector<Tap>& taps) {
        for (int64_t k = 0; k < c_.channels; k += LANES) {
          const int64_t count = std::min<int64_t>(LANES, c_.channels - k);
          Vector best = Vector{} - INFINITY;
          Integers place = {};
          for (const Tap& tap : taps) {
            const Vector seen = LoadPart(in + tap.at + k, count);
            const Integers wins = (seen > best) | (seen != seen);
            best = wins ? seen : best;
            place = wins ? Integers{} + tap.place : place;
          }
          StorePart(out + at + k, best, count);
          const Bytes bytes = __builtin_convertvector(place, Bytes);
          if (count == LANES)
            *reinterpret_cast<Bytes*>(places + at + k) = bytes;
          else
            std::memcpy(places + at + k, &bytes, count);
        }
      });
    });
  }

  void Gradient(const int8_t* places, const float* gradient, float* out,
                const Threads& threads) const {
    const int64_t map = c_.height * c_.width * c_.channels;
    threads.for_all(c_.batch, [&](int64_t n) {
      std::fill_n(out + n * map, map, 0.0f);
      ForWindows(n, [&](int64_t at, const std::vector<Tap>& taps) {
        for (int64_t k = 0; k < c_.channels; k += LANES) {
          const int64_t count = std::min<int64_t>(LANES, c_.channels - k);
          Bytes bytes = {};
          if (count == LANES)
            bytes = *reinterpret_cast<const Bytes*>(places + at + k);
          else
            std::memcpy(&bytes, places + at + k, count);
          const Integers place = __builtin_convertvector(bytes, Integers);
          const Vector share = LoadPart(gradient + at + k, count);
          for (const Tap& tap : taps) {
            float* sum = out + tap.at + k;
            StorePart(sum, LoadPart(sum, count) + (place == tap.place ? share : Vector{}), count);
          }
        }
      });
    });
  }

 private:
  struct Tap {  // a pixel of a window: where its channels begin, and its place there
    int64_t at;
    int32_t place;
  };

  // Calls window(where the output's channels begin, taps) for all windows of an image: the taps are
  // those that are not padding.
  template <typename Window>
  void ForWindows(int64_t n, Window window) const {
    std::vector<Tap> taps;
    int64_t at = n * c_.down * c_.across * c_.channels;
    for (int64_t y = 0; y < c_.down; ++y)
      for (int64_t x = 0; x < c_.across; ++x, at += c_.channels) {
        const int64_t top = y * c_.stride_y - c_.top, left = x * c_.stride_x - c_.left;
        taps.clear();
        const int64_t bottom = std::min(c_.window_y, c_.height - top);
        for (int64_t i = std::max<int64_t>(0, -top); i < bottom; ++i)
          for (int64_t j = std::max<int64_t>(0, -left); j < std::min(c_.window_x, c_.width - left);
               ++j) {
            const int64_t pixel = (n * c_.height + top + i) * c_.width + left + j;
            taps.push_back({pixel * c_.channels, static_cast<int32_t>(i * c_.window_x + j)});
          }
        window(at, taps);
      }
  }

  const Convolution& c_;
};

}  // namespace cnn_jax
