// The maximum over windows of maps [N, H, W, C], and the gradient by them.
//
// The place of each maximum in its window, counted row by row, is kept in a byte: the first of
// equal numbers. What is not a number wins. Padding never does.

#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "common.h"
#include "conv_shape.h"

namespace cnn_jax {

typedef int32_t IntVector __attribute__((vector_size(4 * kLanes)));
typedef int8_t ByteVector __attribute__((vector_size(kLanes), aligned(1), may_alias));

class MaxPool {
 public:
  explicit MaxPool(const ConvShape& c) : c_(c) {}

  void Forward(const float* in, float* out, int8_t* places, const Threads& threads) const {
    threads.parallel_for(c_.batch, [&](int64_t n) {
      ForEachWindow(n, [&](int64_t at, const std::vector<WindowPixel>& pixels) {
        for (int64_t k = 0; k < c_.channels; k += kLanes) {
          const int64_t count = std::min<int64_t>(kLanes, c_.channels - k);
          Vector best = Vector{} - INFINITY;
          IntVector place = {};
          for (const WindowPixel& pixel : pixels) {
            const Vector value = LoadPartial(in + pixel.at + k, count);
            const IntVector wins = (value > best) | (value != value);
            best = wins ? value : best;
            place = wins ? IntVector{} + pixel.place : place;
          }
          StorePartial(out + at + k, best, count);
          const ByteVector bytes = __builtin_convertvector(place, ByteVector);
          if (count == kLanes)
            *reinterpret_cast<ByteVector*>(places + at + k) = bytes;
          else
            std::memcpy(places + at + k, &bytes, count);
        }
      });
    });
  }

  void Gradient(const int8_t* places, const float* gradient, float* out,
                const Threads& threads) const {
    const int64_t map = c_.height * c_.width * c_.channels;
    threads.parallel_for(c_.batch, [&](int64_t n) {
      std::fill_n(out + n * map, map, 0.0f);
      ForEachWindow(n, [&](int64_t at, const std::vector<WindowPixel>& pixels) {
        for (int64_t k = 0; k < c_.channels; k += kLanes) {
          const int64_t count = std::min<int64_t>(kLanes, c_.channels - k);
          ByteVector bytes = {};
          if (count == kLanes)
            bytes = *reinterpret_cast<const ByteVector*>(places + at + k);
          else
            std::memcpy(&bytes, places + at + k, count);
          const IntVector place = __builtin_convertvector(bytes, IntVector);
          const Vector share = LoadPartial(gradient + at + k, count);
          for (const WindowPixel& pixel : pixels) {
            float* sum = out + pixel.at + k;
            StorePartial(sum, LoadPartial(sum, count) + (place == pixel.place ? share : Vector{}),
                         count);
          }
        }
      });
    });
  }

 private:
  struct WindowPixel {  // a pixel of a window: where its channels begin, and its place there
    int64_t at;
    int32_t place;
  };

  // Calls window(where the output's channels begin, pixels) for all windows of an image: the pixels
  // are those that are not padding.
  template <typename Window>
  void ForEachWindow(int64_t n, Window window) const {
    std::vector<WindowPixel> pixels;
    int64_t at = n * c_.down * c_.across * c_.channels;
    for (int64_t y = 0; y < c_.down; ++y)
      for (int64_t x = 0; x < c_.across; ++x, at += c_.channels) {
        const int64_t top = y * c_.stride_y - c_.top, left = x * c_.stride_x - c_.left;
        pixels.clear();
        const int64_t bottom = std::min(c_.window_y, c_.height - top);
        for (int64_t i = std::max<int64_t>(0, -top); i < bottom; ++i)
          for (int64_t j = std::max<int64_t>(0, -left); j < std::min(c_.window_x, c_.width - left);
               ++j) {
            const int64_t index = (n * c_.height + top + i) * c_.width + left + j;
            pixels.push_back({index * c_.channels, static_cast<int32_t>(i * c_.window_x + j)});
          }
        window(at, pixels);
      }
  }

  const ConvShape& c_;
};

}  // namespace cnn_jax
