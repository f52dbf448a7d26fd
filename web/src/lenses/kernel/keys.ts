// Arrow keys move the kernel by one position.
const STEPS: Readonly<Record<string, readonly [number, number]>> = {
  ArrowUp: [-1, 0],
  ArrowDown: [1, 0],
  ArrowLeft: [0, -1],
  ArrowRight: [0, 1],
};

export function arrow(
  event: KeyboardEvent,
  at: readonly [number, number],
  move: (position: readonly [number, number]) => void,
): void {
  const step = STEPS[event.key];
  if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  move([at[0] + step[0], at[1] + step[1]]);
}
