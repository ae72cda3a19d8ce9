// The dot product of WebAssembly's relaxed SIMD.
#pragma once

namespace dino8 {

// What the processor takes the bytes of rows for; see wasm_relaxed_tile.h.
enum class RelaxedDot { kInexact, kUnsigned, kSigned };

// Finds out by all products that there are, in a millisecond. Defined where the compiler may use relaxed SIMD.
RelaxedDot relaxed_dot();

}  // namespace dino8
