// The variables that examples in docstrings use without declaring them, by the names that the documentation gives them.
import type { CheckpointPackage, CocoDataset, Detector, EncodedPrompt, ModelPackage, Recipe } from 'dino8';
import type { AccuracyMeasure, CocoDetection, Matches, Sensitivity, VariantTimer } from 'dino8/evaluate';
import type { PromptChunk, RawDetections, Tokenizer } from 'dino8/models';
import type { Model, NodeProto } from 'dino8/onnx';
import type { QuantizationPlan, SampleSource, Statistics } from 'dino8/quant';
import type { Feeds, Outputs, Session } from 'dino8/runtime';
import type {
  Batches,
  BatchSettings,
  LossSettings,
  StepModels,
  StepSize,
  TrainerSettings,
  Training,
} from 'dino8/train';

declare global {
  /** Models: a graph, its quantized form, a detector with its files, and a checkpoint. */
  const model: Model;
  const quantized: Model;
  const source: ModelPackage;
  const checkpoint: CheckpointPackage;
  const node: NodeProto;

  /** Data and results. */
  const dataset: CocoDataset;
  const detections: readonly CocoDetection[];
  const floatMatches: Matches;
  const quantizedMatches: Matches;
  const detector: Detector;
  const prompt: EncodedPrompt;
  const chunk: PromptChunk;
  const raw: RawDetections;
  const accuracy: AccuracyMeasure;
  const timer: VariantTimer;
  const partSensitivity: Sensitivity;

  /** Quantization. */
  const recipe: Recipe;
  const plan: QuantizationPlan;
  const samples: SampleSource;
  const statistics: Statistics;

  /** Running and training. */
  const session: Session;
  const feeds: Feeds;
  const outputs: Outputs;
  const tokenizer: Tokenizer;
  const batchSettings: BatchSettings;
  const batches: Batches;
  const size: StepSize;
  const lossSettings: LossSettings;
  const trainerSettings: TrainerSettings;
  const models: StepModels;
  const training: Training;
}
