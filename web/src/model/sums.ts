// A convolution's sums by input channel: which ones are named, and what the others make. Pure.

export interface Named {
  readonly channel: number;
  readonly sum: number | null;
}

export interface Account {
  readonly named: readonly Named[];
  /** The channels that are not named, and their sum; null without any. */
  readonly others: { readonly count: number; readonly sum: number } | null;
}

const size = (sum: number | null): number => (sum === null ? -1 : Math.abs(sum));

/** The input channel with the largest sum by magnitude; the first of equals. */
export function strongest(sums: readonly (number | null)[], first: number): number {
  let best = 0;
  sums.forEach((sum, place) => {
    if (size(sum) > size(sums[best] ?? null)) best = place;
  });
  return first + best;
}

/**
 * The `limit` channels with the largest sums by magnitude and the one in question, largest first.
 * All are named where only one more would be left over.
 */
export function account(
  sums: readonly (number | null)[],
  first: number,
  shown: number,
  limit = 4,
): Account {
  const ranked = sums
    .map((sum, place): Named => ({ channel: first + place, sum }))
    .sort((a, b) => size(b.sum) - size(a.sum) || a.channel - b.channel);
  const most = ranked.length <= limit + 2 ? ranked.length : limit;
  const named = ranked.filter(({ channel }, rank) => rank < most || channel === shown);
  const others = ranked.filter((one) => !named.includes(one));
  return {
    named,
    others: others.length
      ? { count: others.length, sum: others.reduce((total, { sum }) => total + (sum ?? NaN), 0) }
      : null,
  };
}
