// Image files that the user opens or drops: sent to the server, then shown.
import type { Source } from "../source/source";
import type { Errors } from "./errors.svelte";

export class Uploads {
  /** The largest file that the server accepts, in bytes. */
  limit = Infinity;
  readonly #source: Source;
  readonly #errors: Errors;
  readonly #opened: (image: string) => void;
  #removeError: () => void = () => undefined;

  /** `opened` is called with the identifier of the uploaded image. */
  constructor(source: Source, errors: Errors, opened: (image: string) => void) {
    this.#source = source;
    this.#errors = errors;
    this.#opened = opened;
  }

  async open(file: File): Promise<void> {
    this.forgetError();
    try {
      if (file.size > this.limit) {
        const limit = this.limit.toLocaleString("en");
        throw new Error(`${file.name} is over the limit of ${limit} bytes.`);
      }
      this.#opened((await this.#source.upload(file)).image);
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      const named = reason.includes(file.name) ? reason : `${file.name}: ${reason}`;
      this.#removeError = this.#errors.report(new Error(named), () => void this.open(file));
    }
  }

  /** Removes the error of the last file, because another image was opened. */
  forgetError(): void {
    this.#removeError();
  }
}
