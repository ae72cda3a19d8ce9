/** The interface by which a family is recognised in files and its models are read. */
import type { Preprocessing } from '../data/preprocessing.ts';
import type { Model } from '../onnx/read.ts';
import type { Checkpoint } from './checkpoint/checkpoint.ts';
import type { WeightOptions } from './checkpoint/choose-weights.ts';
import type { ModelFamily } from './family.ts';

/** The weights of a model with its configuration. */
export interface FamilyCheckpoint {
  /** The configuration as the family parsed it; only the family looks into it. */
  readonly config: object;
  /** The weights, by their names. */
  readonly tensors: Checkpoint;
  /** Sentences about the checkpoint that a user should see. */
  readonly notices?: readonly string[] | undefined;
}

/** The entry of a family in the table of families. */
export interface FamilyDefinition {
  /** The values of `model_type` in `config.json` that belong to the family. */
  readonly modelTypes: readonly string[];
  /** The contents of `config.json` of the published models' usual size. */
  readonly publishedConfig: object;
  /** The classes of transformers that prepare the images of the models, the name of today first. */
  readonly imageProcessors: readonly string[];
  /**
   * The family of models with this configuration.
   *
   * @param config the parsed JSON of `config.json`
   * @param source names the model in errors
   * @throws InputError if the configuration is incomplete or contradicts itself
   */
  open(config: unknown, preprocessing: Preprocessing, source: string): ModelFamily;
  /** The number of tokens that a model with this configuration knows. The tokenizer must not have more. */
  vocabularySize(config: object): number;
  /**
   * Reads a Hugging Face folder: `config.json` beside the weights, in one file or in shards with their index.
   *
   * @throws UsageError if the folder is no checkpoint; InputError if a file in it is damaged
   */
  readFolder(folder: string, options: WeightOptions): Promise<FamilyCheckpoint>;
  /**
   * Reads a checkpoint that is one file of weights, in a format that `isWeightsKind` knows; undefined if the family has none.
   *
   * @throws InputError if the file is damaged or of no model of this family
   */
  readonly readFile?: ((path: string, options: WeightOptions) => Promise<FamilyCheckpoint>) | undefined;
  /** Changes a model that a former version of dino8 wrote into what this one writes; undefined if there is nothing to change. */
  readonly renew?: ((model: Model) => void) | undefined;
}
