/** Everything that a report shows. Texts are plain text, not HTML. Nothing in it names a place on this machine. */
import type { Detection } from '../detect/base-detector.ts';
import type { ActivationRanges } from '../evaluate/activation-ranges.ts';
import type { ChangedCount } from '../evaluate/errors/found-objects.ts';
import type { Inspection } from '../evaluate/inspect.ts';
import type { Sensitivity } from '../evaluate/sensitivity.ts';
import type { Mixture } from '../evaluate/tune.ts';
import type { OutputFigure } from '../models/family.ts';
import type { Contributions } from './contribution-page.ts';
import type { Provenance } from './provenance.ts';
import type { PublishedSize } from './published-size.ts';
import type { ReportedVariant } from './variants.ts';
import type { Vocabulary } from './vocabulary-page.ts';

/** An image with the detections of each variant. */
export interface ShownImage {
  readonly name: string;
  /** The size in pixels that boxes refer to. */
  readonly width: number;
  readonly height: number;
  /** The encoded image and its media type, such as `image/jpeg`. */
  readonly bytes: Uint8Array;
  readonly mediaType: string;
  /** One entry for each variant, in the order of `ReportContent.variants`. */
  readonly detections: readonly {
    readonly variant: string;
    readonly found: readonly Detection[];
    /** The objects in the image that only one of the reference and the variant finds; undefined for the reference. */
    readonly change?: ChangedCount | undefined;
  }[];
}

/** The content of a report. What was not measured is undefined, and has no section. */
export interface ReportContent {
  readonly title: string;
  /** A sentence that says what was measured, and on which machine. */
  readonly summary?: string | undefined;
  /** The points of average precision that a variant may lose. */
  readonly allowedDrop: number;
  /** The first variant is the reference that the others are compared with. */
  readonly variants: readonly ReportedVariant[];
  readonly images: readonly ShownImage[];
  /** Sentences about pictures that could not be shown. */
  readonly missingImages: readonly string[];
  /** The meaning of the figures in `agreement`, in the order of their columns. */
  readonly outputFigures: readonly OutputFigure[];
  /** The modules of one of the variants. */
  readonly inspected?: { readonly name: string; readonly inspection: Inspection } | undefined;
  /** The loss of each part when it alone is quantized, if that was measured. */
  readonly sensitivity?: Sensitivity | undefined;
  /** The mixtures of precisions that were measured. */
  readonly mixtures?: readonly Mixture[] | undefined;
  /** What each module of the float model saves and costs in 8 bits. */
  readonly contribution?: { readonly name: string; readonly contributions: Contributions } | undefined;
  /** The result of `vocabulary` for a model, and the name of the model that it was compared with. */
  readonly vocabulary?:
    | { readonly name: string; readonly against?: string | undefined; readonly result: Vocabulary }
    | undefined;
  /** The values of the float model that fit their range worst. */
  readonly activations?: ActivationRanges | undefined;
  /** The measurements of a model of the published size. */
  readonly publishedSize?: PublishedSize | undefined;
  readonly provenance?: Provenance | undefined;
  /** The names of the files that the report was made of. */
  readonly sources: readonly string[];
}
