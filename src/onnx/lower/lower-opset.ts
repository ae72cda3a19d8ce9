/** Rewrites a model in an older version of the ONNX operators, for runtimes that do not know the newer ones. */
import { InputError } from '../../base/errors.ts';
import { type Infos, inferShapes } from '../infer/infer.ts';
import { isStandardDomain, standardImport, standardVersion } from '../opset.ts';
import type { Model } from '../read.ts';
import { makeTensor } from '../tensor.ts';
import { subgraphsOf } from '../traverse.ts';
import type { GraphProto, NodeProto, TensorProto } from '../types.ts';
import { LOWERING, type LoweringContext } from './lowering.ts';
import { UniqueNames } from './unique-names.ts';

/** The oldest version that dino8 writes: the first with LayerNormalization. */
const OLDEST = 17;

/** The version of the file format that came with each version of the operators (https://github.com/onnx/onnx/blob/main/docs/Versioning.md). */
const FORMATS: readonly (readonly [opset: number, format: bigint])[] = [
  [25, 13n],
  [24, 12n],
  [23, 11n],
  [21, 10n],
  [19, 9n],
  [17, 8n],
];

/** The model that is lowered, with its version before and the one that is wanted. */
interface Target {
  readonly model: Model;
  readonly source: string;
  readonly version: number;
  readonly current: number;
  readonly infos: Infos;
  readonly names: UniqueNames;
}

/**
 * Rewrites a model to version `version` of the standard operators; a model in that version or an older one stays as it is.
 *
 * @param model is changed; it must have no functions, whose bodies this does not rewrite
 * @param source names the model in errors
 * @returns the number of nodes that were rewritten
 * @throws InputError if a node cannot be expressed in that version
 */
export function lowerOpset(model: Model, version: number, source: string): number {
  if (version < OLDEST) throw new Error(`operators of version ${version} are older than ${OLDEST}`);
  const current = standardVersion(model);
  if (current <= version) return 0;
  const infos = inferShapes(model);
  const target: Target = { model, source, version, current, infos, names: UniqueNames.of(model.graph) };
  const count = lowerGraph(model.graph, target, new Map());
  model.opsetImport = [standardImport(version), ...model.opsetImport.filter(({ domain }) => !isStandardDomain(domain))];
  const format = FORMATS.find(([opset]) => opset <= version)?.[1];
  if (format !== undefined && model.irVersion > format) model.irVersion = format;
  return count;
}

function lowerGraph(graph: GraphProto, target: Target, outer: ReadonlyMap<string, TensorProto>): number {
  let count = 0;
  const constants = new Map(outer);
  for (const tensor of graph.initializer) constants.set(tensor.name, tensor);
  for (const { opType, output, attribute } of graph.node) {
    const tensor = opType === 'Constant' ? attribute[0]?.t : undefined;
    if (tensor) constants.set(output[0] ?? '', tensor);
  }
  graph.node = graph.node.flatMap((node) => {
    for (const inner of subgraphsOf(node)) count += lowerGraph(inner, target, constants);
    const changes = isStandardDomain(node.domain) ? changesOf(node, target) : [];
    if (changes.length > 0) count++;
    const context = contextOf(node, target, constants);
    return changes.reduce<readonly NodeProto[]>(
      (nodes, { lower }) => nodes.flatMap((each) => (each.opType === node.opType ? lower(each, context) : [each])),
      [node],
    );
  });
  return count;
}

const changesOf = ({ opType }: NodeProto, { version, current }: Target) =>
  (Object.hasOwn(LOWERING, opType) ? (LOWERING[opType] ?? []) : []).filter(
    ({ since }) => version < since && since <= current,
  );

function contextOf(
  node: NodeProto,
  { model, source, version, infos, names }: Target,
  constants: ReadonlyMap<string, TensorProto>,
): LoweringContext {
  return {
    constant: (name) => constants.get(name),
    infoOf: (name) => infos.get(name),
    store: (data, shape) => {
      const name = names.take(`${node.name || node.output[0]}.constant`);
      model.graph.initializer.push(makeTensor(name, shape, data));
      return name;
    },
    unique: (base) => names.take(base),
    fail: (reason) => {
      throw new InputError(
        `${source}: the node ${node.name || node.output[0]} (${node.opType}) ${reason}, so the model cannot be written in version ${version} of the ONNX operators.`,
      );
    },
  };
}
