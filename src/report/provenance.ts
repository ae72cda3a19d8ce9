/** How results were made, so that a reader can judge and repeat them. It names files and folders, and not where they are. */
import type { LabelsIdentity } from '../evaluate/dataset-identity.ts';

/** The machine and the programs that results were made with. */
export interface Provenance {
  /** When the work ended, as ISO 8601 has it. */
  readonly date: string;
  /** The command that was given; undefined if a program called the library. */
  readonly command?: string | undefined;
  /** The machine. */
  readonly machine: {
    /** The name of the processor. */
    readonly processor: string;
    /** The number of processor cores that the work could use. */
    readonly cores: number;
    /** The size of the memory. */
    readonly memoryBytes: number;
    /** The operating system and the architecture. */
    readonly system: string;
  };
  /** The versions of the programs. */
  readonly versions: {
    /** The version of dino8. */
    readonly dino8: string;
    /** The version of Node.js. */
    readonly node: string;
    /** The version of ONNX Runtime. */
    readonly onnxRuntime: string;
  };
  /** The number of threads of ONNX Runtime. */
  readonly threads: number;
  /** The number of processes in which each model was timed, in turns. */
  readonly rounds: number;
  /** The number of timed runs in each of them. */
  readonly runs: number;
  /** The seed of the random choices. */
  readonly seed: number;
  /** The checkpoint. */
  readonly checkpoint: {
    /** Its name. */
    readonly name: string;
    /** The hash of the float model that it became. */
    readonly hash: string;
    /** The hash of the configuration and the tokenizer, which all models of one checkpoint carry. */
    readonly network?: string | undefined;
    /** The hash of its weights, which all models that were made from it carry. */
    readonly weights?: string | undefined;
  };
  /** The labels by which the models were scored. */
  readonly dataset: LabelsIdentity;
  /** The images of calibration. */
  readonly calibration: {
    /** The name of the data set. */
    readonly name: string;
    /** The number of images that were calibrated on. */
    readonly images: number;
    /** The hash of the choice of images with their contents and prompts. */
    readonly hash: string;
  };
}
