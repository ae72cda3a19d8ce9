/**
 * The golden check that travels with a bundle: a picture, and what dino8 finds in it at each size. The scripts of the bundle
 * compare what the device finds, so that a fault of a runtime shows where it happens.
 */

import { encodeImage, layOver } from '../../data/encode-image.ts';
import { decodeImage, type Image } from '../../data/image.ts';
import type { Box } from '../../data/labelled-box.ts';
import type { Phrases } from '../../data/phrases.ts';
import { Preprocessor } from '../../data/preprocess.ts';
import { shrinkTo } from '../../data/resample.ts';
import { Detector } from '../../detect/detector.ts';
import { overlap } from '../../evaluate/match.ts';
import type { ScoredBox } from '../../models/detection-family.ts';
import { detectionOf } from '../../models/family.ts';
import type { ModelPackage } from '../../models/package/package.ts';
import { createTokenizer } from '../../models/tokenizer.ts';
import type { Model } from '../../onnx/read.ts';
import { Session } from '../../runtime/session.ts';

/** A box of the golden check. */
export interface GoldenBox {
  /** Index of the phrase among the labels of the bundle. */
  readonly phrase: number;
  /** Probability in 0..1. */
  readonly score: number;
  /** Left, top, width and height, as parts of the picture's size. */
  readonly box: Box;
}

/** The content of `golden.json`. */
export interface GoldenCheck {
  /** The picture as a PNG file in base64. */
  readonly picture: string;
  /** The picture's height and width in pixels. */
  readonly size: readonly [height: number, width: number];
  /** What counts as agreement on the device. */
  readonly limits: GoldenLimits;
  /** The boxes by the name of the size, such as `640x640`, in descending order of their scores. */
  readonly boxes: Readonly<Record<string, readonly GoldenBox[]>>;
}

/** The limits within which boxes agree. */
export interface GoldenLimits {
  /** The minimum intersection over union of a box with the one that is expected. */
  readonly overlap: number;
  /** The maximum difference of their scores. */
  readonly score: number;
  /** The minimum share of expected boxes that are found, weighted by their scores: those of low scores are near the background. */
  readonly share: number;
}

/**
 * The limits on a device. 8-bit and 16-bit arithmetic in another order moves scores by hundredths; sampling by the nearest pixel in
 * place of bilinear sampling, the fault for which this check was made, moves half of the boxes or more out of these limits.
 */
export const DEVICE_LIMITS: GoldenLimits = { overlap: 0.8, score: 0.1, share: 0.75 };

/** Boxes of a picture in the golden check: more of them mean less. */
const MOST_BOXES = 20;
/** Boxes with a lower part of the best score are background, whose order is chance. */
const LEAST_PART = 0.25;
/** A larger side would make the bundle's file large. */
const LONGEST_SIDE = 640;

/** A drawn picture, for bundles without one of their user's. */
export async function drawnPicture(): Promise<Image> {
  const [width, height] = [256, 192];
  const pixels = new Uint8Array(width * height * 3).fill(190);
  const drawing = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}">
    <circle cx="52" cy="60" r="30" fill="#d62828"/>
    <rect x="120" y="26" width="56" height="56" fill="#2851c8"/>
    <path d="M212 108 L244 166 L180 166 Z" fill="#2a9d3a"/>
    <circle cx="122" cy="140" r="22" fill="none" stroke="#e88a1a" stroke-width="10"/>
    <rect x="20" y="128" width="62" height="34" fill="#f2d024"/>
  </svg>`;
  return layOver({ width, height, pixels }, drawing);
}

/** The picture as the check stores it: not larger than it needs to be. */
export const goldenPicture = (picture: Image): Image => shrinkTo(picture, LONGEST_SIDE);

/** The picture as a PNG file. */
export const encodePicture = async (picture: Image): Promise<string> =>
  Buffer.from(await encodeImage(picture, 'png')).toString('base64');

/** The picture of a check, as the scripts of the bundle decode it. */
export const decodePicture = ({ picture }: GoldenCheck): Promise<Image> =>
  decodeImage(Buffer.from(picture, 'base64'), 'golden.json');

/** Optimizations change the order of sums, and thereby steps of 8-bit numbers, from one form of a model to the next. */
const UNCHANGED = { optimization: 'none' } as const;

/** What a model finds in a picture, with a low threshold and in parts of the picture's size. */
export async function findBoxes(
  source: ModelPackage,
  picture: Image,
  phrases: Phrases | undefined,
): Promise<GoldenBox[]> {
  await using detector = await Detector.create(source, UNCHANGED);
  return inParts(await detector.detect(picture, await detector.encodePrompt(phrases), 0), picture);
}

/** A text encoder beside the models of a bundle, and the phrases that are looked for if no others are given. */
export interface TextEncoder {
  readonly model: Model;
  readonly phrases: Phrases;
  /** The length of prompts. */
  readonly tokens: number;
}

/**
 * What the half `detect` of a model finds with a text encoder beside it, as the scripts of a bundle run the two.
 * @param source the half, with what belongs to its model
 */
export async function findBoxesByHalves(
  source: ModelPackage,
  picture: Image,
  { model, phrases, tokens }: TextEncoder,
): Promise<GoldenBox[]> {
  const steps = detectionOf(source);
  const { chunks } = steps.createPrompt(phrases, createTokenizer(source.tokenizer, source.source), tokens);
  await using text = await Session.create(model, UNCHANGED, source.source);
  await using detect = await Session.create(source.model, UNCHANGED, source.source);
  await using preprocessor = await Preprocessor.create(source.preprocessing);
  const images = steps.imageFeeds(await preprocessor.prepare([picture]), (name) => detect.inputs.has(name));
  const found: GoldenBox[] = [];
  for (const chunk of chunks) {
    using encoded = await text.run(steps.textFeeds(chunk, tokens));
    using outputs = await detect.run({ ...images, ...steps.promptFeeds(chunk, encoded, tokens) });
    found.push(...inParts(steps.groundedBoxes(outputs, chunk, picture, 0), picture));
  }
  return found.toSorted((a, b) => b.score - a.score);
}

/** Boxes in parts of the picture's size. */
const inParts = (boxes: readonly ScoredBox[], { width, height }: Image): GoldenBox[] =>
  boxes.map(({ phrase, score, box: [x, y, w, h] }) => ({
    phrase,
    score,
    box: [x / width, y / height, w / width, h / height],
  }));

/** The boxes that a check expects, of all that a model finds. */
export function expectedBoxes<Found extends GoldenBox>(found: readonly Found[]): Found[] {
  const least = (found[0]?.score ?? 0) * LEAST_PART;
  return found.filter(({ score }) => score >= least).slice(0, MOST_BOXES);
}

/** The share of expected boxes, weighted by their scores, for which there is one of the same phrase within the limits, each for one. */
export function agreement(
  expected: readonly GoldenBox[],
  found: readonly GoldenBox[],
  limits: Pick<GoldenLimits, 'overlap' | 'score'>,
): number {
  const left = [...found];
  const agreeing = expected.filter((wanted) => {
    const at = left.findIndex(
      ({ phrase, score, box }) =>
        phrase === wanted.phrase &&
        Math.abs(score - wanted.score) <= limits.score &&
        overlap(box, wanted.box, false) >= limits.overlap,
    );
    return at >= 0 && left.splice(at, 1).length > 0;
  });
  const sum = (boxes: readonly GoldenBox[]) => boxes.reduce((total, { score }) => total + score, 0);
  return expected.length === 0 ? 1 : sum(agreeing) / sum(expected);
}
