/**
 * A recipe and a model → a quantization plan: which inputs and outputs of which nodes become integers, and how. The plan is
 * computed once; calibration, quantization, quantization-aware training, explanations, sensitivity and reports read it.
 */
import { checkValue, objectWith } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import { checkModelArgument } from '../onnx/check-model.ts';
import type { Model } from '../onnx/read.ts';
import { biasOf } from './bias.ts';
import { checkConflicts } from './check-conflicts.ts';
import { matchesPath } from './match-path.ts';
import { sourceOf } from './observe/same-values.ts';
import { type GraphFacts, inputPort, type Mode, outputPort, type Port } from './operators/operator.ts';
import { factsOf, findQuantizable, type Quantizable } from './operators/operators.ts';
import type { NumberedRule, PlanEntry, PlannedActivation, PlannedClip, PlannedWeight } from './plan-entry.ts';
import type { Recipe, Rule } from './recipe.ts';
import { DEFAULT_WEIGHT_SCHEME } from './scheme.ts';
import type { QuantizationTarget } from './targets/target.ts';
import { DEFAULT_TARGET, findTarget } from './targets/targets.ts';
import { channelSource, correctsBias } from './techniques/correct-bias.ts';
import { valuesToPrepare } from './techniques/prepare.ts';
import { usefulRange } from './useful-range.ts';

/** How many nodes have each mode. */
export interface PlanCounts extends Readonly<Record<Mode, number>> {
  /** The number of nodes with a stored weight that stay float. */
  readonly float: number;
  /** The number of nodes with a stored weight whose activations get their ranges when the model runs. */
  readonly dynamic: number;
  /** The number of nodes with a stored weight whose activations have fixed ranges. */
  readonly static: number;
  /** The number of nodes whose weight alone is stored as integers. */
  readonly 'weight-only': number;
  /** The number of quantized nodes that compute with activations only, by operator. They are not in the other counts. */
  readonly activations: Readonly<Record<string, number>>;
}

/** The treatment of every node of a model by a recipe, for a target. */
export interface QuantizationPlan {
  /** The recipe that the plan follows. */
  readonly recipe: Recipe;
  /** The runtime that the plan is made for. */
  readonly target: QuantizationTarget;
  /**
   * All nodes with a stored weight, then the nodes that compute with activations only and are quantized, each in the order of
   * the graph.
   */
  readonly entries: readonly PlanEntry[];
  /** The results of layers that are clipped. */
  readonly clips: readonly PlannedClip[];
  /** The values whose statistics the plan needs, each once. */
  readonly valuesToObserve: readonly string[];
  /** Sentences that name the requests of the recipe that the plan does not carry out, with the reason. */
  readonly notices: readonly string[];
  /** True once ranges, limits and means are filled in from statistics: see `resolveRanges`. */
  readonly isResolved: boolean;
}

/** Options of `planQuantization`. */
export interface PlanOptions {
  /** The target or its name; ONNX Runtime on CPUs by default. */
  readonly target?: QuantizationTarget | string | undefined;
}

/**
 * Plans the quantization of a model by a recipe. Ranges are not in the plan yet: calibrate `plan.valuesToObserve`, then fill them
 * in with `resolveRanges`.
 *
 * @throws UsageError if a pattern of the recipe matches nothing, if a node cannot be quantized as the recipe says, or if two
 * rules contradict each other about a value or a weight that nodes share
 * @example
 * const plan = planQuantization(model, await readRecipe('static'), { target: 'ort-cpu' });
 * const statistics = await calibrate(model, plan.valuesToObserve, samples);
 * const { model: quantized } = await quantizeModel(model, resolveRanges(plan, { statistics }));
 */
export function planQuantization(model: Model, recipe: Recipe, options: PlanOptions = {}): QuantizationPlan {
  checkValue('The recipe', objectWith('what `readRecipe` returned', 'rules', 'techniques'), recipe);
  checkModelArgument(model);
  const target = typeof options.target === 'string' ? findTarget(options.target) : (options.target ?? DEFAULT_TARGET);
  if (recipe.text?.treatment === 'buckets' && !target.looksUpByLength)
    throw new UsageError(
      `The recipe ${recipe.name} looks ranges up by the length of the text, which ${target.name} cannot do; use \`treatment: dynamic\` in \`text\`, or leave \`text\` out.`,
    );
  const graph = factsOf(model);
  checkLength(recipe, model, graph);
  const quantizable = findQuantizable(model, graph);
  checkPatterns(recipe, quantizable);
  const assigned = [...quantizable.filter(({ weight }) => weight), ...quantizable.filter(({ weight }) => !weight)]
    .map((each) => assign(each, recipe, graph))
    .filter((entry) => entry.operands === 'weights' || entry.mode !== 'float');
  const narrowed = assigned.map((entry) => {
    const alternative = isTextCandidate(entry, recipe) && narrowTo(target, { ...entry, mode: 'dynamic' }, graph);
    const chosen = narrowTo(target, entry, graph);
    return alternative ? { ...chosen, ifTextDependent: alternative } : chosen;
  });
  refuseNothing(narrowed, recipe, target);
  checkConflicts(narrowed, recipe);
  const entries = narrowed.map((entry) => withCorrection(entry, recipe, graph));
  const clips = clipsOf(assigned, graph);
  const valuesToObserve = valuesOfEntries(entries, clips);
  return {
    recipe,
    target,
    entries,
    clips,
    valuesToObserve,
    notices: refusalNotices(entries, target),
    isResolved: false,
  };
}

/**
 * The values whose statistics a recipe needs, each once: for ranges, clips, bias correction and the techniques that change
 * weights before ranges are found.
 *
 * @throws UsageError as `planQuantization` does
 * @example
 * const statistics = await calibrate(model, valuesToObserve(model, recipe), samples);
 */
export function valuesToObserve(model: Model, recipe: Recipe, options: PlanOptions = {}): string[] {
  checkValue('The recipe', objectWith('what `readRecipe` returned', 'rules', 'techniques'), recipe);
  checkModelArgument(model);
  const { valuesToObserve: planned } = planQuantization(model, recipe, options);
  return [...new Set([...planned, ...valuesToPrepare(model, recipe)])];
}

/** The entry as a target places it; float, with the reason, where the target cannot compute it in integers. */
function narrowTo(target: QuantizationTarget, entry: PlanEntry, graph: GraphFacts): PlanEntry {
  if (entry.mode === 'float') return entry;
  const narrowed = target.narrow(entry, graph);
  if (typeof narrowed !== 'string') return narrowed;
  return { ...entry, mode: 'float', activations: [], weight: undefined, correction: undefined, refusal: narrowed };
}

/** The activations that a plan quantizes, in the order of its entries. */
export function plannedActivations({ entries }: QuantizationPlan): PlannedActivation[] {
  return entries.flatMap(({ activations }) => activations);
}

/** The weights that a plan stores as integers, in the order of its entries; one that two nodes share is there twice. */
export function plannedWeights({ entries }: QuantizationPlan): PlannedWeight[] {
  return entries.flatMap(({ weight }) => weight ?? []);
}

/** How many nodes have each mode. */
export function countModes({ entries }: QuantizationPlan): PlanCounts {
  const ofWeights = entries.filter(({ operands }) => operands === 'weights');
  const count = (mode: Mode) => ofWeights.filter((entry) => entry.mode === mode).length;
  const activations: Record<string, number> = {};
  for (const { operands, mode, operator } of entries)
    if (operands === 'activations' && mode !== 'float') activations[operator] = (activations[operator] ?? 0) + 1;
  return {
    float: count('float'),
    dynamic: count('dynamic'),
    static: count('static'),
    'weight-only': count('weight-only'),
    activations,
  };
}

/** True if a node can be computed in integers, not only stored. */
const computesInIntegers = ({ modes }: Quantizable) => modes.includes('dynamic') || modes.includes('static');

const operandsOf = ({ weight }: Quantizable): Rule['inputs'] => (weight ? 'weights' : 'activations');

function matches(rule: Rule, pattern: string, each: Quantizable): boolean {
  if (rule.inputs !== operandsOf(each)) return false;
  const isNamed = rule.operators?.some((name) => name === each.operator) ?? !each.mustBeNamed;
  // Integer modes do not apply to weights that can only be stored as integers: `**` means layers, not embeddings.
  const isPossible =
    rule.inputs === 'activations' ||
    computesInIntegers(each) ||
    rule.treatment === 'weight-only' ||
    rule.treatment === 'float';
  return isNamed && isPossible && matchesPath(pattern, rule.inputs === 'weights' ? each.path : each.node.name);
}

/** @throws UsageError if the recipe looks ranges up by the length of a value that the model does not have */
function checkLength({ name, text }: Recipe, { graph }: Model, { index }: GraphFacts): void {
  if (text?.treatment !== 'buckets') return;
  if (!graph.input.some((input) => input.name === text.length) && !index.producer.has(text.length))
    throw new UsageError(
      `The recipe ${name} looks ranges up by the length of the value ${text.length}, which is not in the model; name another one in \`text\`.`,
    );
}

/** @throws UsageError for a pattern that matches nothing and whose rule is not optional: it is a mistake */
function checkPatterns(recipe: Recipe, quantizable: readonly Quantizable[]): void {
  for (const rule of recipe.rules.filter(({ optional }) => !optional))
    for (const pattern of rule.match)
      if (!quantizable.some((each) => matches(rule, pattern, each)))
        throw new UsageError(
          `The recipe ${recipe.name} has the pattern "${pattern}", which matches nothing in the model${rule.inputs === 'activations' ? ' that computes with activations only' : ''}; correct or remove it.`,
        );
}

/** The rule that applies to a node: the last one that matches. */
function ruleOf(each: Quantizable, { rules }: Recipe): NumberedRule | undefined {
  const index = rules.findLastIndex((rule) => rule.match.some((pattern) => matches(rule, pattern, each)));
  const rule = rules[index];
  return rule && { number: index + 1, rule };
}

function assign(each: Quantizable, recipe: Recipe, graph: GraphFacts): PlanEntry {
  const { node, path, operator, weight, inputs, outputs, modes } = each;
  const rule = ruleOf(each, recipe);
  const mode = rule?.rule.treatment ?? 'float';
  const operands = operandsOf(each);
  const label = operands === 'weights' ? path : node.name;
  if (rule && mode !== 'float' && !modes.includes(mode))
    throw new UsageError(
      `The recipe ${recipe.name} makes ${label}, a ${operator}, ${mode} by its rule ${rule.number}, but it can only be float or ${modes.join(' or ')}; state \`operators\` in the rule, or another treatment.`,
    );
  const scheme = rule?.rule.weights ?? DEFAULT_WEIGHT_SCHEME;
  if (rule && weight && mode !== 'float' && !weight.bits.includes(scheme.bits))
    throw new UsageError(
      `The recipe ${recipe.name} gives ${label}, a ${operator}, weights of ${scheme.bits} bits by its rule ${rule.number}, but they can only have ${weight.bits.join(' or ')}.`,
    );
  const isInteger = mode === 'dynamic' || mode === 'static';
  const ports = [...inputs.map(inputPort), ...(mode === 'static' ? outputs.map(outputPort) : [])];
  return {
    node,
    path,
    operator,
    operands,
    quantizable: each,
    mode,
    activations: isInteger ? ports.map((port) => activationAt(port, each, graph)) : [],
    weight:
      weight && mode !== 'float'
        ? { node: node.name, ...inputPort(weight.input), weight: weight.tensor, axis: weight.channelAxis, scheme }
        : undefined,
    rule,
  };
}

function activationAt(port: Port, { node }: Quantizable, { index }: GraphFacts): PlannedActivation {
  const value = node[port.side][port.index] ?? '';
  const source = sourceOf(value, index);
  return { node: node.name, ...port, value, source, useful: usefulRange(source, index) };
}

/** @throws UsageError if the recipe quantizes something and the target leaves all of it in float */
function refuseNothing(entries: readonly PlanEntry[], recipe: Recipe, target: QuantizationTarget): void {
  const refused = entries.find(({ refusal }) => refusal !== undefined);
  if (refused && entries.every(({ mode }) => mode === 'float'))
    throw new UsageError(
      `The recipe ${recipe.name} has nothing that ${target.name} computes in integers (${refused.refusal}); use another recipe, such as static.`,
    );
}

/** Sentences that say how many layers the target leaves float although the recipe quantizes them, and why. */
function refusalNotices(entries: readonly PlanEntry[], target: QuantizationTarget): string[] {
  const reasons = new Map<string, number>();
  for (const { refusal } of entries) if (refusal !== undefined) reasons.set(refusal, (reasons.get(refusal) ?? 0) + 1);
  return [...reasons].map(([reason, count]) => `${count} layers stay float for ${target.name}: ${reason}.`);
}

/** True for static layers that could be dynamic, where the recipe makes those dynamic whose range changes with the text. */
function isTextCandidate({ mode, operands, quantizable }: PlanEntry, { text }: Recipe): boolean {
  const couldBe = operands === 'weights' && quantizable.modes.includes('dynamic');
  return text?.treatment === 'dynamic' && mode === 'static' && couldBe;
}

function withCorrection(entry: PlanEntry, recipe: Recipe, graph: GraphFacts): PlanEntry {
  const [input] = entry.quantizable.inputs;
  const isCorrected = correctsBias(recipe, entry) && biasOf(entry.node, graph.index) !== undefined;
  if (!isCorrected || input === undefined) return entry;
  return { ...entry, correction: { value: channelSource(entry.node.input[input] ?? '', graph) } };
}

function clipsOf(entries: readonly PlanEntry[], { index }: GraphFacts): PlannedClip[] {
  return entries.flatMap(({ node, path, rule }) => {
    const percentile = rule?.rule.clip;
    const value = biasOf(node, index)?.node.output[0] ?? node.output[0] ?? '';
    return percentile === undefined ? [] : [{ value, path, percentile }];
  });
}

/** The values whose statistics entries and clips need, each once. */
export function valuesOfEntries(entries: readonly PlanEntry[], clips: readonly PlannedClip[]): string[] {
  const isRanged = ({ mode, rule }: PlanEntry) => mode === 'static' && rule?.rule.range === undefined;
  const values = [
    ...entries.filter(isRanged).flatMap(({ activations }) => activations.map(({ source }) => source)),
    ...entries.flatMap(({ correction }) => correction?.value ?? []),
    ...clips.map(({ value }) => value),
  ];
  return [...new Set(values)];
}
