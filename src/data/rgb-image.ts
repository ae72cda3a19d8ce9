/** A decoded image. */
export interface Image {
  /** The size in pixels. */
  readonly width: number;
  /** The size in pixels. */
  readonly height: number;
  /** Red, green and blue from 0 to 255, [height, width, 3]. */
  readonly pixels: Uint8Array;
  /** The path that it was read from, for messages. */
  readonly source?: string | undefined;
}
