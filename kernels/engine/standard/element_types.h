// The types of elements as types of C++.
#pragma once

#include <cstdint>

#include "../operator.h"

namespace dino8::engine {

// An element of the type bool. A byte that is not 0 counts as true.
struct Truth {
  uint8_t byte;
};

template <class Number>
inline constexpr Element kElementOf = Element::kFloat;
template <>
inline constexpr Element kElementOf<uint8_t> = Element::kUint8;
template <>
inline constexpr Element kElementOf<int8_t> = Element::kInt8;
template <>
inline constexpr Element kElementOf<int32_t> = Element::kInt32;
template <>
inline constexpr Element kElementOf<int64_t> = Element::kInt64;
template <>
inline constexpr Element kElementOf<Truth> = Element::kBool;

// The cost of computing one element, in the unit of ranges.h: by a simple function, and by one with an exponential.
constexpr double kSimpleCost = 4, kPowerCost = 28;

// Before a loop that seldom has much to do: keeps compilers from making it longer for the sake of speed, because pages
// load the code.
#if defined(__clang__)
#define DINO8_SHORT_LOOP _Pragma("clang loop vectorize(disable) unroll(disable)")
#else
#define DINO8_SHORT_LOOP
#endif

// Returns `work(number)` with a number of the element's type, which has to be one of the `Numbers`.
template <class... Numbers, class Work>
Problem for_element(Element element, const Work& work) {
  Problem problem = kWrongType;
  (void)((element == kElementOf<Numbers> && (problem = work(Numbers{}), true)) || ...);
  return problem;
}

// Takes the inputs of a run, of which the first `required` must not be left out.
template <size_t kInputs>
Problem take_inputs(const Run& run, size_t required, const Tensor* (&inputs)[kInputs]) {
  if (run.inputs() > kInputs) return "it has too many inputs";
  for (size_t index = 0; index < kInputs; index++) {
    inputs[index] = run.input(index);
    if (index < required && inputs[index] == nullptr) return kMissingInput;
  }
  return nullptr;
}

// The same where all inputs are required and have this type.
template <size_t kInputs>
Problem take_inputs(const Run& run, Element element, const Tensor* (&inputs)[kInputs]) {
  if (const Problem problem = take_inputs(run, kInputs, inputs)) return problem;
  for (const Tensor* input : inputs)
    if (input->element != element) return kWrongType;
  return nullptr;
}

}  // namespace dino8::engine
