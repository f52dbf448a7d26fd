// Why a request gave no answer.

/** `status` is the server's; 0 means that no server answered. The message is shown to the user. */
export class RequestError extends Error {
  constructor(
    readonly status: number,
    message: string,
  ) {
    super(message);
  }
}
