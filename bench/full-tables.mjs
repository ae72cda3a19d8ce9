// The tables that bench/full.mjs makes of its measurements, for docs/performance.md and README.md.
import { statSync } from 'node:fs';
import { at, OPENVINO_RECIPES } from './full-models.mjs';
import { quantile, ratioOf } from './statistics.mjs';

/** Sizes beside the published one. */
export const SIZES = [
  { folder: '480x640', height: 480, width: 640 },
  { folder: '320x320', height: 320, width: 320 },
];
/** The images of a batch, and the sizes at which one is measured: the published one, by no name, and a small one. */
export const BATCH = 4;
export const BATCH_SIZES = ['', ', 320x320'];

const [FAST, FP32] = ['dino8 INT8 (fast)', 'dino8 FP32'];
const [EXPORT, DYNAMIC] = ['HF export FP32', 'onnxruntime.quantization dynamic'];
const NNCF = 'OpenVINO INT8 (NNCF), as by default';

/** Rows of the large table: contenders and what readers call them. `PRECISION` is what OpenVINO chose for floats. */
const rowNames = (version) => ({
  [EXPORT]: `Hugging Face export, FP32 (ONNX Runtime ${version}, Python)`,
  [DYNAMIC]: 'onnxruntime.quantization, dynamic INT8 of the export',
  'OpenVINO FP32, in float32': 'OpenVINO FP32, in float32',
  'OpenVINO FP32, as by default': 'OpenVINO FP32, in PRECISION, as by default',
  'OpenVINO INT8 (NNCF), rest in float32': 'OpenVINO INT8 (NNCF), the rest in float32',
  [NNCF]: 'OpenVINO INT8 (NNCF), the rest in PRECISION, as by default',
  'dino8 INT8 (static) in OpenVINO, rest in float32': 'dino8 INT8 (`static`) in OpenVINO, the rest in float32',
  'dino8 INT8 (static) in OpenVINO, as by default': 'dino8 INT8 (`static`) in OpenVINO, the rest in PRECISION',
  'dino8 INT8 (fast) in OpenVINO, rest in float32': 'dino8 INT8 (`fast`) in OpenVINO, the rest in float32',
  'dino8 INT8 (fast) in OpenVINO, as by default': 'dino8 INT8 (`fast`) in OpenVINO, the rest in PRECISION',
  [FP32]: 'dino8 FP32',
  'dino8 INT8 (dynamic)': 'dino8 INT8 (`dynamic`)',
  'dino8 INT4 (smallest)': 'dino8, weights of 4 bits (`smallest`)',
  [FAST]: 'dino8 INT8 (`fast`, static)',
  'dino8 INT8 (fast), specialised': '`fast`, specialized to this size',
  'dino8 INT8 (fast) in Python': "`fast` in Python, without dino8's kernels",
});
const PRECISIONS = { f32: 'float32', bf16: 'bfloat16', f16: 'float16' };

const megabytes = (number) => `${Math.round(number).toLocaleString('en-US')} MB`;
const median = (values) => quantile(values.flat(), 0.5);
const rangeOf = (values) => {
  const all = values.flat();
  return `${Math.min(...all).toFixed(2)}–${Math.max(...all).toFixed(2)}`;
};
const time = ({ seconds }) => `${median(seconds).toFixed(2)} s`;
const peak = ({ peaks }) => megabytes(quantile(peaks, 0.5));
const file = ({ bytes }) => megabytes(bytes / 1e6);

/** The aim of a figure, such as "≤ 0.17", and that it was not reached where it was not. */
function judged(aim, measured) {
  const [, sign, limit] = /^([≤≥<>]) (.*)$/.exec(aim) ?? [];
  if (sign === undefined) return aim;
  const [value, bound] = [Number(measured), Number(limit)];
  const reached = { '≤': value <= bound, '≥': value >= bound, '<': value < bound, '>': value > bound }[sign];
  return reached ? aim : `${aim}, not reached`;
}

/** Time, memory and file of each contender at the published size. */
export function publishedTable(figures, version) {
  const rows = Object.entries(rowNames(version)).flatMap(([name, label]) => {
    const figure = figures[name];
    if (!figure) return [];
    const shown = label.replace('PRECISION', PRECISIONS[figure.precision] ?? figure.precision);
    const load = `${quantile(figure.loads, 0.5).toFixed(1)} s`;
    return [[shown, time(figure), rangeOf(figure.seconds), peak(figure), load, file(figure)]];
  });
  return [['', 'median', 'range', 'peak memory', 'load', 'file'], rows];
}

/** The same at other sizes. */
export function sizesTable(figures) {
  const rows = [
    [EXPORT, 'Hugging Face export, FP32'],
    [DYNAMIC, 'onnxruntime.quantization, dynamic INT8 of the export'],
    [FP32, 'dino8 FP32'],
    [FAST, 'dino8 INT8 (`fast`)'],
  ].map(([name, label]) => [
    label,
    ...SIZES.flatMap(({ folder }) => {
      const figure = figures[`${name}, ${folder}`];
      return [`${time(figure)} (${rangeOf(figure.seconds)})`, peak(figure)];
    }),
  ]);
  return [['at other sizes', ...SIZES.flatMap(({ folder }) => [folder, 'peak memory'])], rows];
}

/** The rows of README.md. */
export function costsTable(figures) {
  const rows = [
    [EXPORT, 'Hugging Face export, FP32'],
    [DYNAMIC, "… with onnxruntime.quantization's dynamic INT8"],
    [NNCF, "… with NNCF's INT8, in OpenVINO"],
    [FP32, 'dino8 FP32'],
    [FAST, 'dino8 INT8, recipe `fast`'],
  ].map(([name, label]) => {
    const figure = figures[name];
    const cells = [label, `${time(figure)} (${rangeOf(figure.seconds)})`, peak(figure), file(figure)];
    return name === FAST ? cells.map((cell) => `**${cell}**`) : cells;
  });
  return [['', 'time', 'peak memory', 'file'], rows];
}

/**
 * What is compared, what was measured, the smallest and the largest ratio of a single round, and the aim, of everything that was measured.
 *
 * @param making what `makeOwn` told of converting and quantizing, and the seconds of onnxruntime.quantization
 */
export function ratiosTable(figures, making) {
  /** The ratio of two contenders' medians; undefined where one was not measured. */
  const ratio = (name, other, key = 'seconds', factor = 1) => {
    const [a, b] = [figures[name]?.[key], figures[other]?.[key]];
    return a && b ? ratioOf(a, b, factor) : undefined;
  };
  const single = (value, digits) => ({ measured: value.toFixed(digits), rounds: '' });
  const aims = [
    ['`fast` / FP32 export, time', '≤ 0.17', ratio(FAST, EXPORT)],
    ['`fast` / dynamic INT8 of onnxruntime.quantization, time', '≤ 0.25', ratio(FAST, DYNAMIC)],
    ...SIZES.map(({ folder }) => [`… at ${folder}`, '≤ 0.30', ratio(`${FAST}, ${folder}`, `${DYNAMIC}, ${folder}`)]),
    ...SIZES.map(({ folder }) => [
      `\`fast\` / FP32 export, time, at ${folder}`,
      '',
      ratio(`${FAST}, ${folder}`, `${EXPORT}, ${folder}`),
    ]),
    ['`fast` / dino8 FP32, time', '', ratio(FAST, FP32)],
    ['`fast` / OpenVINO INT8, time', '≤ 0.9', ratio(FAST, NNCF)],
    ['`fast` / OpenVINO INT8 with the rest in float32, time', '', ratio(FAST, 'OpenVINO INT8 (NNCF), rest in float32')],
    ['`fast` / OpenVINO INT8, peak memory', '', ratio(FAST, NNCF, 'peaks')],
    ['dino8 FP32 / OpenVINO FP32, both in float32, time', '', ratio(FP32, 'OpenVINO FP32, in float32')],
    ['dino8 FP32 / OpenVINO FP32 as by default, time', '', ratio(FP32, 'OpenVINO FP32, as by default')],
    ...['rest in float32', 'as by default'].flatMap((floats) =>
      OPENVINO_RECIPES.map((recipe) => [
        `dino8's file by \`${recipe}\` / NNCF's, both in OpenVINO, ${floats === 'as by default' ? floats : `the ${floats}`}, time`,
        '',
        ratio(`dino8 INT8 (${recipe}) in OpenVINO, ${floats}`, `OpenVINO INT8 (NNCF), ${floats}`),
      ]),
    ),
    ['dino8 FP32 / FP32 export, time', '≤ 0.70', ratio(FP32, EXPORT)],
    ['`dynamic` / FP32 export, time', '', ratio('dino8 INT8 (dynamic)', EXPORT)],
    ['`smallest` / `dynamic`, time', '', ratio('dino8 INT4 (smallest)', 'dino8 INT8 (dynamic)')],
    ['`fast` / FP32 export, peak memory', '≤ 0.10', ratio(FAST, EXPORT, 'peaks')],
    ...SIZES.map(({ folder }, index) => [
      `… at ${folder}`,
      ['≤ 0.15', '≤ 0.25'][index],
      ratio(`${FAST}, ${folder}`, `${EXPORT}, ${folder}`, 'peaks'),
    ]),
    ['1 → 2 threads, `fast`, gain', '≥ 1.8', ratio(`${FAST}, 1 thread`, `${FAST}, 2 threads`)],
    ['1 → 2 threads, dino8 FP32, gain', '', ratio(`${FP32}, 1 thread`, `${FP32}, 2 threads`)],
    ...BATCH_SIZES.map((size) => [
      `a batch of ${BATCH} with one prompt${size.replace(', ', ' at ')}, time of an image / that of one alone`,
      size ? '' : '< 1',
      ratio(`${FAST}, batch ${BATCH}${size}`, `${FAST}, batch 1${size}`, 'seconds', 1 / BATCH),
    ]),
    ['loading `fast`, seconds', '≤ 0.7', figures[FAST] && single(quantile(figures[FAST].loads, 0.5), 2)],
    ['`fast` / FP32 export, file', '≤ 0.27', figures[FAST] && single(figures[FAST].bytes / figures[EXPORT].bytes, 3)],
    [
      'quantizing by `dynamic` / by onnxruntime.quantization, time',
      '≤ 0.30',
      making.peerSeconds && single(making.quantized.seconds / making.peerSeconds, 3),
    ],
    ['converting, seconds', '< 20', single(making.converted.seconds, 1)],
    [
      'converting, peak memory / checkpoint',
      '< 2.5',
      single(making.converted.peakBytes / statSync(at('hf/model.safetensors')).size, 2),
    ],
    [
      'calibrating on 3 images and quantizing / running dino8 FP32, peak memory',
      '≤ 1.5',
      figures[FP32] && single(making.calibrated.peakBytes / 2 ** 20 / quantile(figures[FP32].peaks, 0.5), 2),
    ],
    ['largest difference of logits from PyTorch', '≤ 2e-3', { measured: making.agreement.logits.toExponential(1) }],
    ['largest difference of boxes from PyTorch', '≤ 1e-4', { measured: making.agreement.boxes.toExponential(1) }],
    ['queries of 900 whose equal proposals changed places', '', { measured: String(making.agreement.moved) }],
  ];
  const rows = aims
    .filter(([, , figure]) => figure)
    .map(([name, aim, { measured, rounds = '' }]) => [name, measured, rounds, judged(aim, measured)]);
  return [['ratio of medians', 'measured', 'single rounds', 'aim'], rows];
}
