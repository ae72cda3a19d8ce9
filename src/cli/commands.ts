/** The table of commands. A command is loaded when it runs, so that this table costs nothing to read. */
import type { CommandUnknownOpts } from '@commander-js/extra-typings';

/** A command as the overview of `dino8 --help` shows it. */
export interface CommandEntry {
  readonly name: string;
  /** One line for the overview; the command itself has the full description. */
  readonly summary: string;
  /** The heading under which the overview lists the command. */
  readonly group: string;
  /** Loads the command with its options. */
  readonly load: () => Promise<CommandUnknownOpts>;
}

const START = 'Start here:';
const MODELS = 'Make models:';
const JUDGE = 'Judge models:';
const TRAIN = 'Train:';

/** Every command, in the order in which the overview lists them. */
export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'demo',
    summary: 'run the whole pipeline on the bundled model and write a report',
    group: START,
    load: async () => (await import('./demo-command.ts')).demoCommand(),
  },
  {
    name: 'compress',
    summary: 'make INT8 models of a checkpoint by several recipes, score and measure each, and write a report',
    group: START,
    load: async () => (await import('./compress-command.ts')).compressCommand(),
  },
  {
    name: 'detect',
    summary: 'find what phrases describe in images',
    group: START,
    load: async () => (await import('./detect-command.ts')).detectCommand(),
  },
  {
    name: 'setup',
    summary: "build the kernels with this machine's C++ compiler, if npm ran no install scripts",
    group: START,
    load: async () => (await import('./setup-command.ts')).setupCommand(),
  },
  {
    name: 'doctor',
    summary: 'show versions, CPU features, kernels and execution providers of this machine',
    group: START,
    load: async () => (await import('./doctor-command.ts')).doctorCommand(),
  },
  {
    name: 'convert',
    summary: 'build the FP32 ONNX model of a checkpoint',
    group: MODELS,
    load: async () => (await import('./convert-command.ts')).convertCommand(),
  },
  {
    name: 'calibrate',
    summary: 'collect the statistics from which ranges of activations are chosen',
    group: MODELS,
    load: async () => (await import('./calibrate-command.ts')).calibrateCommand(),
  },
  {
    name: 'quantize',
    summary: 'make an INT8 model by a recipe',
    group: MODELS,
    load: async () => (await import('./quantize-command.ts')).quantizeCommand(),
  },
  {
    name: 'tune',
    summary: 'search for the fastest mixture of precisions within a loss of accuracy',
    group: MODELS,
    load: async () => (await import('./tune-command.ts')).tuneCommand(),
  },
  {
    name: 'specialize',
    summary: 'make a model with static shapes for one size of image',
    group: MODELS,
    load: async () => (await import('./specialize-command.ts')).specializeCommand(),
  },
  {
    name: 'export',
    summary: 'write a folder that runs on a device without dino8: models, scripts that build and run them, and a check',
    group: MODELS,
    load: async () => (await import('./export-command.ts')).exportCommand(),
  },
  {
    name: 'eval',
    summary: "compute a model's average precision on a COCO data set",
    group: JUDGE,
    load: async () => (await import('./eval-command.ts')).evalCommand(),
  },
  {
    name: 'score',
    summary: "score the detections of any detector, in COCO's results format",
    group: JUDGE,
    load: async () => (await import('./score-command.ts')).scoreCommand(),
  },
  {
    name: 'errors',
    summary: 'explain what is wrong with the detections of any detector, and what another one loses',
    group: JUDGE,
    load: async () => (await import('./errors-command.ts')).errorsCommand(),
  },
  {
    name: 'vocabulary',
    summary: 'measure unseen phrases, paraphrases, and false alarms for phrases that name nothing in the image',
    group: JUDGE,
    load: async () => (await import('./vocabulary-command.ts')).vocabularyCommand(),
  },
  {
    name: 'report',
    summary: 'say which variant to ship and what it costs, from the results of other commands, in one HTML file',
    group: JUDGE,
    load: async () => (await import('./report-command.ts')).reportCommand(),
  },
  {
    name: 'measure',
    summary: 'measure latency and peak memory of a model',
    group: JUDGE,
    load: async () => (await import('./measure-command.ts')).measureCommand(),
  },
  {
    name: 'bench',
    summary: 'time several models beside each other, with the spread of the measurements',
    group: JUDGE,
    load: async () => (await import('./bench-command.ts')).benchCommand(),
  },
  {
    name: 'compare',
    summary: 'compare a quantized model with its float model, layer by layer and box by box',
    group: JUDGE,
    load: async () => (await import('./compare-command.ts')).compareCommand(),
  },
  {
    name: 'sensitivity',
    summary: 'measure how much accuracy each part of a model loses in INT8',
    group: JUDGE,
    load: async () => (await import('./sensitivity-command.ts')).sensitivityCommand(),
  },
  {
    name: 'contribution',
    summary: 'say how much of what INT8 saves and costs is due to each module of a detector',
    group: JUDGE,
    load: async () => (await import('./contribution-command.ts')).contributionCommand(),
  },
  {
    name: 'inspect',
    summary: 'list the size, work, time and precision of each module of a model',
    group: JUDGE,
    load: async () => (await import('./inspect-command.ts')).inspectCommand(),
  },
  {
    name: 'lint',
    summary: 'find quantized places of a model that its runtime computes in float',
    group: JUDGE,
    load: async () => (await import('./lint-command.ts')).lintCommand(),
  },
  {
    name: 'qat',
    summary: 'train a checkpoint with quantization in place and write the INT8 model',
    group: TRAIN,
    // The compiler gives up comparing the types of so many options.
    load: async () => (await import('./qat-command.ts')).qatCommand() as unknown as CommandUnknownOpts,
  },
  {
    name: 'train',
    summary: 'train a checkpoint on labelled images in FP32',
    group: TRAIN,
    load: async () => (await import('./train-command.ts')).trainCommand(),
  },
];

/** The name of the command that the arguments of the process are about: the first word, or the one after `help`. */
export function commandName(argv: readonly string[]): string | undefined {
  const [first, second] = argv.slice(2).filter((argument) => !argument.startsWith('-'));
  return first === 'help' ? second : first;
}

/** The command that the arguments of the process run; undefined if they ask for help, for the version or for nothing known. */
export function askedCommand(argv: readonly string[]): CommandEntry | undefined {
  const [first] = argv.slice(2);
  return COMMANDS.find(({ name }) => name === first);
}
