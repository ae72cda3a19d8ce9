/** What became of a case: a byte for each case in the file that worker.mjs writes and ../mutations.mjs reads. */
export const STATE = { isBegun: 0, isInRuntime: 1, read: 2, refused: 3, tooLarge: 4 };
