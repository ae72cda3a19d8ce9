/**
 * The functions that the engine exports, as kernels/engine/exports.cpp and wasm_runtime.cpp declare them. Addresses are numbers of 32 bits, those of the upper
 * half negative. Functions that can fail return 0 then, and `dino8_graph_problem` says why.
 */

type Address = number;

export interface EngineFunctions {
  _initialize(): void;
  /** 1 if WebAssembly stopped because there was no memory. */
  dino8_is_out_of_memory(): number;
  dino8_stop_threads(): void;
  dino8_fail_thread(): void;
  dino8_threads(): number;
  dino8_allocate(bytes: number): Address;
  dino8_release(memory: Address): void;
  dino8_has_operator(domain: Address, domainBytes: number, type: Address, typeBytes: number): number;

  dino8_graph_create(values: number): Address;
  dino8_graph_release(graph: Address): void;
  dino8_graph_problem(graph: Address): Address;
  dino8_graph_input(graph: Address, value: number, isSteady: number): number;
  dino8_graph_output(graph: Address, value: number): number;
  dino8_graph_constant(graph: Address, value: number, element: number, dims: Address, rank: number): Address;

  dino8_node_begin(graph: Address, opset: number, isKept: number): void;
  dino8_node_domain(graph: Address, text: Address, bytes: number): void;
  dino8_node_type(graph: Address, text: Address, bytes: number): void;
  dino8_node_name(graph: Address, text: Address, bytes: number): void;
  dino8_node_input(graph: Address, value: number): void;
  dino8_node_output(graph: Address, value: number): void;
  dino8_attribute(graph: Address, name: Address, bytes: number): void;
  dino8_attribute_integer(graph: Address, value: bigint): void;
  dino8_attribute_float(graph: Address, value: number): void;
  dino8_attribute_text(graph: Address, text: Address, bytes: number): void;
  dino8_node_end(graph: Address): number;

  dino8_graph_finish(graph: Address): number;
  dino8_graph_nodes(graph: Address): number;
  dino8_node_name_of(graph: Address, index: number): Address;
  dino8_node_type_of(graph: Address, index: number): Address;

  dino8_run_input(graph: Address, value: number, element: number, dims: Address, rank: number): Address;
  dino8_run(graph: Address, begin: number, end: number): number;
  dino8_result_element(graph: Address, value: number): number;
  dino8_result_rank(graph: Address, value: number): number;
  dino8_result_dimension(graph: Address, value: number, axis: number): number;
  dino8_result_data(graph: Address, value: number): Address;
  dino8_end_run(graph: Address): void;
}

/** The functions that every variant has. */
export const FUNCTIONS: readonly (keyof EngineFunctions)[] = [
  '_initialize',
  'dino8_is_out_of_memory',
  'dino8_stop_threads',
  'dino8_fail_thread',
  'dino8_threads',
  'dino8_allocate',
  'dino8_release',
  'dino8_has_operator',
  'dino8_graph_create',
  'dino8_graph_release',
  'dino8_graph_problem',
  'dino8_graph_input',
  'dino8_graph_output',
  'dino8_graph_constant',
  'dino8_node_begin',
  'dino8_node_domain',
  'dino8_node_type',
  'dino8_node_name',
  'dino8_node_input',
  'dino8_node_output',
  'dino8_attribute',
  'dino8_attribute_integer',
  'dino8_attribute_float',
  'dino8_attribute_text',
  'dino8_node_end',
  'dino8_graph_finish',
  'dino8_graph_nodes',
  'dino8_node_name_of',
  'dino8_node_type_of',
  'dino8_run_input',
  'dino8_run',
  'dino8_result_element',
  'dino8_result_rank',
  'dino8_result_dimension',
  'dino8_result_data',
  'dino8_end_run',
];
