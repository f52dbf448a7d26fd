// Requests of the shift laboratory.
import { aborting, address, json, once, type Seen } from "../../source/server";
import type { Laboratory, Moved, ShiftMap, Unit } from "../../api/wire";

/** An image moved `dx` pixels to the right and `dy` down. */
export interface Asked {
  readonly image: string;
  readonly off: readonly Unit[];
  readonly dx: number;
  readonly dy: number;
  readonly border: string;
}

const off = (units: readonly Unit[]): string | null =>
  units.length ? JSON.stringify(units) : null;

export const laboratory = (): Promise<Laboratory> => once("/api/laboratory");

export const pictureOf = ({ image, dx, dy, border }: Asked): string =>
  address("/api/moved/picture", { image, dx, dy, border });

/** What every network says, when the picture that it belongs to is there too. */
export async function moved(asked: Asked): Promise<Moved> {
  const picture = new Image();
  picture.src = pictureOf(asked);
  const [found] = await Promise.all([
    json<Moved>(address("/api/moved", { ...asked, off: off(asked.off) })),
    picture.decode().catch(() => undefined), // the answer says what is wrong
  ]);
  return found;
}

export const map = (
  seen: Pick<Seen, "image" | "off">,
  run: number,
  border: string,
  signal?: AbortSignal,
): Promise<ShiftMap> =>
  json(
    address("/api/moved/map", { image: seen.image, off: off(seen.off), run, border }),
    aborting(signal),
  );
