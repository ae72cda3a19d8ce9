// A stand-in for ONNX Runtime that runs the library's operators one at a time, for the programs in this folder. It gives
// an operator what ONNX Runtime guarantees and nothing more: element types, and memory of exactly the product of the
// dimensions, so that a sanitizer sees every byte that is read or written beyond.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "../ort_abi.h"

struct OrtStatus {
  int code;
  std::string message;
};

struct OrtValue {
  int element_type = 0;
  std::vector<int64_t> dims;
  std::unique_ptr<char, void (*)(void*)> memory{nullptr, &std::free};
  int64_t bytes = 0;
};

struct OrtSessionOptions {
  bool has_training_entry;
};

struct OrtCustomOpDomain {
  std::vector<const OrtCustomOp*> operators;
};

// A node as an operator sees it when a session starts: its attributes, and those of its inputs that are constants.
struct OrtKernelInfo {
  std::map<std::string, float> attributes;
  std::vector<const OrtValue*> constants;  // null where an input is none
};

// A node as an operator sees it in a run.
struct OrtKernelContext {
  std::vector<const OrtValue*> inputs;  // null where an input is left out
  std::vector<int> output_types;
  std::vector<bool> is_output_wanted;
  std::vector<std::unique_ptr<OrtValue>> outputs;  // null where an output is not wanted, or in the place of an input
  // The input whose memory becomes an output if that has the same shape, or null.
  OrtValue* overwritten = nullptr;
  size_t overwriting_output = 0;
  int filling = 0;  // the byte that new outputs are full of
};

namespace dino8 {

// Memory that a tensor may have, in bytes. More is refused as ONNX Runtime refuses what it cannot allocate.
constexpr int64_t kMostBytes = int64_t{1} << 24;

// The bytes of an element; 0 for a type that no operator has.
int64_t element_bytes(int element_type);

// The bytes of a tensor, or nothing if there are too many or a dimension is negative.
std::optional<int64_t> tensor_bytes(const std::vector<int64_t>& dims, int element_type);

// Makes a tensor whose memory is full of one byte. The dimensions must be those of a tensor that fits.
std::unique_ptr<OrtValue> make_tensor(int element_type, const std::vector<int64_t>& dims, int filling);

// The table of functions that OrtApi reads, and what has it.
const void* const* stand_in_table();
const OrtApiBase* stand_in_base();

// The operators that the library registers.
std::vector<const OrtCustomOp*> registered_operators(bool with_training);

}  // namespace dino8
