// @vitest-environment happy-dom
// What the page makes of the server's answers, refusals and silence.
import { afterEach, describe, expect, it, vi } from "vitest";
import { BoundedCache } from "./cache";
import { ServerSource } from "./server";

const PASS = { image: "data-3", target: 1, off: [["a, b", 2]] as const };

/** Answers every request; gives the requests. */
function answering(answer: (request: Request) => Response | Promise<Response>): Request[] {
  const requests: Request[] = [];
  vi.stubGlobal("fetch", async (request: Request) => {
    requests.push(request);
    return answer(request);
  });
  return requests;
}

const json = (body: unknown, status = 200): Response =>
  new Response(JSON.stringify(body), { status, headers: { "Content-Type": "application/json" } });

afterEach(() => vi.unstubAllGlobals());

describe("the server", () => {
  it("gets requests with all that the answer depends on", async () => {
    const requests = answering(() => json({ layer: "a, b" }));
    await new ServerSource().values(PASS, "a, b");
    const url = new URL(requests[0]?.url ?? "");
    expect(url.pathname).toBe("/api/values");
    expect(Object.fromEntries(url.searchParams)).toEqual({
      image: "data-3",
      target: "1",
      off: '[["a, b",2]]',
      layer: "a, b",
    });
  });

  it("gives the reason of a refusal", async () => {
    answering(() => json({ error: "there is no layer x" }, 422));
    await expect(new ServerSource().layerDetail("x")).rejects.toMatchObject({
      status: 422,
      message: "there is no layer x",
    });
    answering(() => new Response("<html>", { status: 502 }));
    await expect(new ServerSource().subject()).rejects.toThrow("The server answered 502.");
    answering(() => new Response("", { status: 403 }));
    await expect(new ServerSource().subject()).rejects.toThrow("open the address that convscope");
  });

  it("is reported as not answering, except for cancelled requests", async () => {
    answering(() => Promise.reject(new TypeError("no network")));
    await expect(new ServerSource().subject()).rejects.toMatchObject({
      status: 0,
      message: expect.stringContaining("convscope does not answer") as string,
    });
    answering(() => Promise.reject(new DOMException("", "AbortError")));
    await expect(new ServerSource().subject()).rejects.toMatchObject({ name: "AbortError" });
  });

  it("gets constant requests once, and again after a failure", async () => {
    const source = new ServerSource();
    let status = 500;
    const requests = answering(() => json({ error: "it went wrong" }, status));
    await expect(source.subject()).rejects.toThrow("it went wrong");
    status = 200;
    await source.subject();
    await source.subject();
    expect(requests).toHaveLength(2);
  });

  it("reports the progress of a pass, and then its result", async () => {
    const lines = [
      { progress: { done: 1, of: 2 }, result: null, error: null },
      { progress: null, result: { image: "data-3" }, error: null },
    ];
    // Cut in the middle of a line.
    const whole = lines.map((line) => `${JSON.stringify(line)}\n`).join("");
    const parts = [whole.slice(0, 20), whole.slice(20)].map((part) =>
      new TextEncoder().encode(part),
    );
    const stream = new ReadableStream({
      start(controller) {
        for (const part of parts) controller.enqueue(part);
        controller.close();
      },
    });
    answering(() => ({ ok: true, status: 200, headers: new Headers(), body: stream }) as Response);
    const reports: unknown[] = [];
    const pass = await new ServerSource().pass(
      PASS,
      (progress) => reports.push(progress),
      new AbortController().signal,
    );
    expect(reports).toEqual([{ done: 1, of: 2 }]);
    expect(pass).toEqual({ image: "data-3" });
  });

  it("returns maps with their shape, independent of the target", async () => {
    const values = Float32Array.from([1, 2, 3, 4, 5, 6]);
    const requests = answering(
      () => new Response(values.buffer, { headers: { "X-Shape": "3,1,2" } }),
    );
    const source = new ServerSource();
    const maps = await source.maps(PASS, "conv", [4, 5, 6]);
    expect([maps.count, maps.height, maps.width]).toEqual([3, 1, 2]);
    expect([...maps.values]).toEqual([1, 2, 3, 4, 5, 6]);
    expect(new URL(requests[0]?.url ?? "").searchParams.get("channels")).toBe("4-6");
    await source.maps({ ...PASS, target: 4 }, "conv", [4, 5, 6]);
    expect(requests).toHaveLength(1);
  });

  it("receives files unchanged", async () => {
    const requests = answering(() => json({ image: "drop-1" }));
    const picture = await new ServerSource().upload(new File(["pixels"], "a & ü.png"));
    expect(picture.image).toBe("drop-1");
    expect(requests[0]?.method).toBe("POST");
    expect(requests[0]?.headers.get("X-Name")).toBe("a%20%26%20%C3%BC.png");
    expect(await requests[0]?.text()).toBe("pixels");
  });

  it("has addresses of pictures", () => {
    expect(new ServerSource().image("data 3", "thumb")).toBe(
      "/api/picture?image=data+3&size=thumb",
    );
  });
});

describe("a bounded cache", () => {
  it("removes the least recently used entry", async () => {
    const cache = new BoundedCache<string>(5, (text) => text.length);
    const requests: string[] = [];
    const get = (key: string): Promise<string> =>
      cache.get(key, () => {
        requests.push(key);
        return Promise.resolve(key);
      });
    for (const key of ["aa", "bb", "aa", "cc", "aa", "bb"]) await get(key);
    expect(requests).toEqual(["aa", "bb", "cc", "bb"]);
  });
});
