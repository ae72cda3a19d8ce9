/** How far quantization moves the logits of each phrase: the drift of its tokens over the queries that found something. */
import type { LogitDifference, PromptChunk, TokenDifference } from '../models/detection-family.ts';

/** The mean and the largest absolute difference of logits. */
export interface LogitDrift {
  /** The number of queries that are compared. */
  readonly queries: number;
  /** The mean absolute difference. */
  readonly mean: number;
  /** The largest absolute difference. */
  readonly highest: number;
}

/** The drift of one token. */
export interface TokenDrift {
  /** The id of the token. */
  readonly token: number;
  /** Over the queries that found something, whatever it was. */
  readonly all: LogitDrift;
  /** Over the queries that found the phrase of the token. */
  readonly own: LogitDrift;
}

/** The drift of one phrase. */
export interface PhraseDrift {
  /** The phrase. */
  readonly phrase: string;
  /** Over its tokens and the queries that found something, whatever it was. */
  readonly all: LogitDrift;
  /** Over its tokens and the queries that found this phrase. */
  readonly own: LogitDrift;
  /** Each of its tokens, in order. */
  readonly tokens: readonly TokenDrift[];
}

/** The part of a prompt that samples are compared by, with the names of its phrases. */
export interface ComparedPrompt {
  /** The phrases, by their indices. */
  readonly phrases: readonly string[];
  /** The tokens. */
  readonly chunk: PromptChunk;
}

/** The differences of tokens of two samples together. */
export function addTokens(
  sums: readonly TokenDifference[] | undefined,
  more: readonly TokenDifference[],
): readonly TokenDifference[] {
  if (!sums) return more;
  const add = (a: LogitDifference, b: LogitDifference | undefined): LogitDifference => ({
    count: a.count + (b?.count ?? 0),
    sum: a.sum + (b?.sum ?? 0),
    highest: Math.max(a.highest, b?.highest ?? 0),
  });
  return sums.map((token, index) => ({
    ...token,
    all: add(token.all, more[index]?.all),
    own: add(token.own, more[index]?.own),
  }));
}

/** The drift of each phrase, the one that moved most first. */
export function phraseDrifts(tokens: readonly TokenDifference[], { phrases, chunk }: ComparedPrompt): PhraseDrift[] {
  const drifts = chunk.phrases.map(({ phrase }) => {
    const own = tokens.filter((token) => token.phrase === phrase);
    return {
      phrase: phrases[phrase] ?? '',
      all: together(own.map(({ all }) => all)),
      own: together(own.map(({ own }) => own)),
      tokens: own.map((token) => ({ token: token.token, all: together([token.all]), own: together([token.own]) })),
    };
  });
  return drifts.sort((a, b) => b.all.mean - a.all.mean);
}

/** Every token of a phrase is compared at the same queries. */
function together(differences: readonly LogitDifference[]): LogitDrift {
  const count = differences.reduce((total, each) => total + each.count, 0);
  const sum = differences.reduce((total, each) => total + each.sum, 0);
  return {
    queries: differences[0]?.count ?? 0,
    mean: count === 0 ? 0 : sum / count,
    highest: differences.reduce((highest, each) => Math.max(highest, each.highest), 0),
  };
}
