// Values as text in the query of a request. Pure.

/** "0-31" for consecutive numbers, otherwise "3,5,7". */
export function numberList(numbers: readonly number[]): string {
  const [first = 0] = numbers;
  const consecutive = numbers.length > 1 && numbers.every((number, i) => number === first + i);
  return consecutive ? `${first}-${first + numbers.length - 1}` : numbers.join(",");
}

/** The switched-off units; null for none. */
export const offParameter = (off: readonly (readonly [string, number])[]): string | null =>
  off.length ? JSON.stringify(off) : null;
