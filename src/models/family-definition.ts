/** The interface by which a family is recognised in files and its models are read. */
import type { Preprocessing } from '../data/preprocessing.ts';
import type { Checkpoint } from './checkpoint/checkpoint.ts';
import type { ModelFamily } from './family.ts';

/** The weights of a model with its configuration. */
export interface FamilyCheckpoint {
  /** The configuration as the family parsed it; only the family looks into it. */
  readonly config: object;
  /** The weights, by their names. */
  readonly tensors: Checkpoint;
}

/** The entry of a family in the table of families. */
export interface FamilyDefinition {
  /** The values of `model_type` in `config.json` that belong to the family. */
  readonly modelTypes: readonly string[];
  /**
   * The family of models with this configuration.
   *
   * @param config the parsed JSON of `config.json`
   * @param source names the model in errors
   * @throws InputError if the configuration is incomplete or contradicts itself
   */
  open(config: unknown, preprocessing: Preprocessing, source: string): ModelFamily;
  /**
   * Reads a Hugging Face folder: `config.json` with `model.safetensors`, or with shards and their index.
   *
   * @throws UsageError if the folder is no checkpoint; InputError if a file in it is damaged
   */
  readFolder(folder: string): Promise<FamilyCheckpoint>;
  /** Reads one `.pth` file in the format of the family's original repository; undefined if there is no such format. */
  readonly readTorchFile?: ((path: string) => Promise<FamilyCheckpoint>) | undefined;
}
