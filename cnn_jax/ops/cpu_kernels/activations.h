// What may stand behind a norm: of vectors y its values, and the share of a gradient that it lets
// back; where two pieces meet, that of the flat one, as JAX has it.

#pragma once

#include <cstdint>

#include "common.h"

namespace cnn_jax {

struct NoActivation {
  static Vector Of(const Vector& y) { return y; }
  static Vector Gradient(const Vector&, const Vector& by) { return by; }
};

struct Relu {
  static Vector Of(const Vector& y) { return y < 0 ? Vector{} : y; }
  static Vector Gradient(const Vector& y, const Vector& by) { return y > 0 ? by : Vector{}; }
};

struct Relu6 {
  static Vector Of(const Vector& y) {
    const Vector above = Relu::Of(y);
    return above > 6 ? Vector{} + 6 : above;
  }
  static Vector Gradient(const Vector& y, const Vector& by) {
    return y < 6 ? Relu::Gradient(y, by) : Vector{};
  }
};

// y relu6(y + 3) / 6.
struct HardSwish {
  static Vector Of(const Vector& y) { return y * (Relu6::Of(y + 3) / 6); }
  static Vector Gradient(const Vector& y, const Vector& by) {
    return by * (Relu6::Of(y + 3) / 6) + Relu6::Gradient(y + 3, by * y) / 6;
  }
};

// e^x to two units in the last place: 2^n times a polynomial of the rest, which is ln 2 / 2 at
// most. Beyond the range of float the greatest and the least power of two within it.
inline Vector Exp(const Vector& x) {
  typedef int32_t Whole __attribute__((vector_size(4 * kLanes), aligned(4), may_alias));
  constexpr float kRound = 12582912;  // 1.5 * 2^23: adding it leaves no place for a fraction
  const Vector above = x < -87 ? Vector{} - 87 : x, in = above > 88 ? Vector{} + 88 : above;
  const Vector shifted = in * 1.44269504f + kRound;
  const Vector n = shifted - kRound;
  const Vector rest = (in - n * 0.693359375f) + n * 2.12194440e-4f;
  Vector power = rest * 1.98412698e-4f + 1.38888889e-3f;
  for (const float c : {8.33333333e-3f, 4.16666667e-2f, 1.66666667e-1f, 0.5f, 1.0f, 1.0f})
    power = power * rest + c;
  const Whole bits =
      reinterpret_cast<const Whole&>(power) + (reinterpret_cast<const Whole&>(shifted) << 23);
  return reinterpret_cast<const Vector&>(bits);
}

// y times the share of a normal variable below it.
struct Gelu {
  static Vector Of(const Vector& y) { return y * Below(y, Exp(-0.5f * y * y)); }
  static Vector Gradient(const Vector& y, const Vector& by) {
    const Vector bell = Exp(-0.5f * y * y);
    return by * (Below(y, bell) + 0.398942280f * y * bell);
  }

 private:
  // The share above |y| is e^(-y^2 / 2) times a polynomial of t = 1 / (1 + 0.4 |y| / sqrt(2)): the
  // one of this degree with the least greatest relative error for |y| < 13, 6e-8.
  static Vector Below(const Vector& y, const Vector& bell) {
    const Vector t = 1 / (1 + 0.282842712f * (y < 0 ? -y : y));
    Vector tail = t * 0.0201337365f - 0.0677354879f;
    for (const float c : {0.0369209567f, 0.0498649168f, 0.0357540722f, 0.0984815451f, 0.100479284f,
                          0.113287856f, 0.112813149f, 0.0f})
      tail = tail * t + c;
    tail *= bell;
    return y < 0 ? tail : 1 - tail;
  }
};

// y / (1 + e^-y).
struct Silu {
  static Vector Of(const Vector& y) { return y / (1 + Exp(-y)); }
  static Vector Gradient(const Vector& y, const Vector& by) {
    const Vector share = 1 / (1 + Exp(-y));
    return by * share * (1 + y * (1 - share));
  }
};

}  // namespace cnn_jax
