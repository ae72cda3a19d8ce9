/** Numbers as people read them. */
import prettyMilliseconds from 'pretty-ms';

/** A duration with at most two units: "2m 5s". */
export function duration(seconds: number): string {
  const digits = seconds < 10 ? 1 : 0;
  return prettyMilliseconds(1000 * seconds, { unitCount: 2, secondsDecimalDigits: digits });
}

/** A size in millions of bytes. */
export const megabytes = (bytes: number, digits = 1): string => `${(bytes / 1e6).toFixed(digits)} MB`;

/** A latency in milliseconds. */
export const milliseconds = (seconds: number): string => `${(seconds * 1000).toFixed(1)} ms`;

/** A ratio of signal to noise, which is infinite if there is no noise. */
export const decibelsInWords = (decibels: number): string =>
  decibels === Number.POSITIVE_INFINITY ? 'no noise' : `${decibels.toFixed(1)} dB`;

/** A number with a minus sign, not a hyphen, if it is below 0. What rounds to 0 has no sign. */
export function decimal(value: number, digits = 2): string {
  const text = Math.abs(value).toFixed(digits);
  return value < 0 && Number(text) !== 0 ? `−${text}` : text;
}

/** A change with its sign. What rounds to 0 has none. */
export function signed(value: number, digits = 2): string {
  const text = decimal(value, digits);
  return value > 0 && Number(text) !== 0 ? `+${text}` : text;
}

/** A part of a whole in percent; a dash if the whole is nothing. */
export const percent = (part: number, whole: number): string =>
  whole > 0 ? `${((100 * part) / whole).toFixed(1)} %` : '–';

/** A part of 1 in percent; a dash if it is not known. */
export const shareInPercent = (share: number | undefined): string =>
  share === undefined ? '–' : `${decimal(100 * share, 1)} %`;

/** A number of threads in words. */
export const threadsInWords = (threads: number): string => `${threads} ${threads === 1 ? 'thread' : 'threads'}`;
