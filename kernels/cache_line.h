// Rows of bytes that begin at cache lines, which tiles are loaded from twice as fast.
#pragma once

#include <cstdint>

namespace dino8 {

struct alignas(64) CacheLine {
  uint8_t bytes[64];
};

// The bytes, or the floats, of lines that follow each other. The array of the first line ends with the line.
inline uint8_t* bytes_of(CacheLine* lines) { return reinterpret_cast<uint8_t*>(lines); }
inline float* floats_of(CacheLine* lines) { return reinterpret_cast<float*>(lines); }

constexpr int64_t cache_lines(int64_t bytes) { return (bytes + 63) / 64; }

}  // namespace dino8
