#include "operators.h"

namespace dino8::engine {

const std::vector<OperatorTable>& standard_operators() {
  static const std::vector<OperatorTable> tables = {
      elementwise_operators(), quantization_operators(), normalization_operators(), reduction_operators(),
      movement_operators(),    shape_operators(),        product_operators(),
  };
  return tables;
}

MakeOperator find_operator(const std::string& domain, const std::string& type) {
  if (domain == "ai.dino8") return find_library_operator(type);
  const std::string wanted = domain == "ai.onnx" ? "" : domain;
  for (const OperatorTable& table : standard_operators())
    for (size_t index = 0; index < table.count; index++)
      if (wanted == table.entries[index].domain && type == table.entries[index].type) return table.entries[index].make;
  return nullptr;
}

}  // namespace dino8::engine
