/**
 * A model family is a value: everything that commands must know about a kind of model. Rooms outside of `models/` know no
 * model, only this interface. Capabilities that not every model has, detection and training, are optional members.
 */
import { checkValue, objectWith } from '../base/check-options.ts';
import { UsageError } from '../base/errors.ts';
import type { Model } from '../onnx/read.ts';
import type { ObservationRules } from '../quant/observe/sample.ts';
import type { Feeds } from '../runtime/session.ts';
import type { Checkpoint } from './checkpoint/checkpoint.ts';
import type { DetectionFamily } from './detection-family.ts';
import type { ModelModule } from './model-modules.ts';
import type { NamedOutputs } from './named-outputs.ts';
import type { SizeRules } from './specialize.ts';
import type { TrainingFamily } from './training-family.ts';

/** A model with what its family knows about it: the input of every command that works on any model. */
export interface LoadedModel {
  /** Where the model came from, for messages. */
  readonly source: string;
  /** The ONNX model. */
  readonly model: Model;
  /** The family that the model belongs to. */
  readonly family: ModelFamily;
  /** Sentences about what was not as usual when the model was read, which a user should see. */
  readonly notices?: readonly string[] | undefined;
}

/** A part of a network that loses much accuracy in 8 bits. */
export interface SensitivePart {
  /** The name of the part, as reports show it. */
  readonly name: string;
  /** Patterns of module paths, as in recipes. */
  readonly match: readonly string[];
  /** Why the part is sensitive, in one clause. */
  readonly reason: string;
}

/** One figure by which a family compares outputs. */
export interface OutputFigure {
  /** The name of the figure in `OutputDifference.figures` and in JSON. */
  readonly key: string;
  /** The heading of the figure in tables. */
  readonly title: string;
  /** The value of the figure for outputs that are equal. */
  readonly perfect: number;
}

/** How far the outputs of a quantized model are from those of the float model, for one sample. */
export interface OutputDifference {
  /** The number of things that were compared, such as queries: the weight of this sample in a mean over samples. */
  readonly count: number;
  /** A value for each of the family's `outputFigures`, by its key. */
  readonly figures: Readonly<Record<string, number>>;
}

/** The sizes of inputs that mean nothing. */
export interface BlankFeedOptions {
  /** The number of tokens of the prompt, for a family with prompts. */
  readonly tokens?: number | undefined;
  /** Shapes of inputs by name, for a family whose models do not say them. */
  readonly shapes?: ReadonlyMap<string, readonly number[]> | undefined;
}

/** Settings of the files beside a model. */
export interface CompanionDefaults {
  /** Those of `config.json`. */
  readonly config: Readonly<Record<string, unknown>>;
  /** Those of `preprocessor_config.json`. */
  readonly preprocessing: Readonly<Record<string, unknown>>;
}

/** The knowledge about one kind of model in one configuration. */
export interface ModelFamily {
  /** The name of the family in messages: `grounding-dino` or `generic`. */
  readonly name: string;
  /** Which numbers count in calibration: masks and padding do not. */
  readonly observation: ObservationRules;
  /** The parts that lose most in 8 bits, the strongest first. */
  readonly sensitiveParts: readonly SensitivePart[];
  /** The modules that the network consists of, in the order of computation; none if the family does not know them. */
  readonly modules: readonly ModelModule[];
  /**
   * Patterns of module paths that are computed in float32 in a model of 16-bit floats: what 16 bits lose there changes the results;
   * none by default.
   */
  readonly singlePrecision?: readonly string[] | undefined;
  /** Patterns of the module paths of linear layers whose weights keep 8 bits where those of others have 4; none if left out. */
  readonly eightBitWeights?: readonly string[] | undefined;
  /** The figures of `compareOutputs`, in the order in which tables show them. */
  readonly outputFigures: readonly OutputFigure[];
  /** Compares the outputs of a float model and of its quantized form for the same inputs. */
  compareOutputs(float: NamedOutputs, quantized: NamedOutputs): OutputDifference;
  /** The change of the outputs by quantization as one number, from the figures of a sample or their means; 0 if they are equal. */
  outputLoss(figures: Readonly<Record<string, number>>): number;
  /**
   * Inputs of a realistic size without meaning, for timing, lint and inspection.
   *
   * @throws UsageError if a size is missing, impossible, or stated for a model that does not have it
   */
  blankFeeds(loaded: LoadedModel, options?: BlankFeedOptions): Feeds;
  /** How inputs depend on batch, image size and prompt length, for `specialize`; undefined if the family does not know. */
  readonly sizes?: SizeRules | undefined;
  /**
   * Builds the graph of a checkpoint; undefined if the family has no checkpoints.
   *
   * @param source names the checkpoint in errors
   * @throws InputError that lists every tensor that is missing or has another shape
   */
  readonly buildModel?: ((tensors: Checkpoint, source: string) => Promise<Model>) | undefined;
  /** Settings that Hugging Face's libraries look for in the files beside a model, for checkpoints that lack them. */
  readonly companionDefaults?: CompanionDefaults | undefined;
  /** Open-vocabulary detection; undefined if the models do not detect. */
  readonly detection?: DetectionFamily | undefined;
  /** Training and quantization-aware training; undefined if dino8 cannot train the models. */
  readonly training?: TrainingFamily | undefined;
}

/**
 * Returns the members of a model's family that detection needs.
 * @throws UsageError if the family has none
 * @example
 * const detection = detectionOf(await loadModel('detector.onnx'));
 */
export function detectionOf(loaded: Pick<LoadedModel, 'source' | 'family'>): DetectionFamily {
  checkFamilyArgument(loaded);
  const { source, family } = loaded;
  if (family.detection) return family.detection;
  throw new UsageError(
    `${source} is no open-vocabulary detector that dino8 knows, so it cannot be given phrases; use a model that dino8 converted.`,
  );
}

/**
 * Returns the members of a model's family that training needs.
 * @throws UsageError if the family has none
 * @example
 * const training = trainingOf(await readCheckpoint('grounding-dino-tiny/'));
 */
export function trainingOf(loaded: Pick<LoadedModel, 'source' | 'family'>): TrainingFamily {
  checkFamilyArgument(loaded);
  const { source, family } = loaded;
  if (family.training) return family.training;
  throw new UsageError(`dino8 cannot train ${source}; name a checkpoint of a model family that it can train.`);
}

/**
 * Returns how the inputs of a model depend on the sizes that `specialize` sets.
 * @throws UsageError if the family does not know
 * @example
 * const loaded = await readPackage('detector.onnx');
 * const fixed = await specialize(loaded.model, { batch: 1, height: 800, width: 1333 }, sizesOf(loaded));
 */
export function sizesOf(loaded: Pick<LoadedModel, 'source' | 'family'>): SizeRules {
  checkFamilyArgument(loaded);
  const { source, family } = loaded;
  if (family.sizes) return family.sizes;
  throw new UsageError(
    `The inputs of ${source} are unknown to dino8, so it cannot be specialized by image size; use a model that dino8 converted.`,
  );
}

const loadedSchema = objectWith('what `loadModel` or `readPackage` returned', 'model', 'family', 'source');
const familySchema = objectWith('what `loadModel`, `readPackage` or `readCheckpoint` returned', 'family', 'source');

/** @throws UsageError if what a caller gave as a model with its family is none */
export function checkLoadedArgument(loaded: Pick<LoadedModel, 'model' | 'family' | 'source'>): void {
  checkValue('The model', loadedSchema, loaded);
}

/** @throws UsageError if what a caller gave as a model or a checkpoint is none */
export function checkFamilyArgument(loaded: Pick<LoadedModel, 'family' | 'source'>): void {
  checkValue('The model', familySchema, loaded);
}
