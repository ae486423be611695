/* The segmenter on the server that the page came from: `bcpnet serve`. */

import { decodeGreyPng } from "./png.ts";
import { PageError, type Request, type Segmentation, type Segmenter, type Weights } from "./segmenter.ts";

const MOST_WAITS = 5;

/** Whether the page's own server segments, too. */
export async function serverIsReady(): Promise<boolean> {
  try {
    return (await fetch(new URL("readyz", document.baseURI), { cache: "no-store" })).ok;
  } catch {
    return false;
  }
}

export class ServerSegmenter implements Segmenter {
  readonly where = "server";
  private readonly cancel = new AbortController();

  constructor(
    private readonly weights: Weights,
    private readonly token: string,
  ) {}

  async segment(frame: ImageData, request: Request): Promise<Segmentation> {
    const started = performance.now();
    const body = await encoded(frame, request.lossless);
    const [classMap, confidence] = await Promise.all([
      this.values(body, "ids", frame),
      request.confidence ? this.values(body, "confidence", frame) : null,
    ]);
    return { frame, classMap, confidence, timings: { server: performance.now() - started } };
  }

  close(): void {
    this.cancel.abort();
  }

  /** One byte a pixel: class ids, or confidence. */
  private async values(body: Blob, output: "ids" | "confidence", frame: ImageData): Promise<Uint8Array> {
    const answer = await this.post(body, output);
    const { values, width, height } = await decodeGreyPng(await answer.blob());
    if (width !== frame.width || height !== frame.height)
      throw new PageError(`The server answered with ${width} x ${height} pixels for ${frame.width} x ${frame.height}.`);
    return values;
  }

  /** Waits and tries again where the server says that it is busy. */
  private async post(body: Blob, output: string): Promise<Response> {
    const query = new URLSearchParams({ model: this.weights.name, output });
    const address = new URL(`v1/segment?${query}`, document.baseURI);
    const headers: Record<string, string> = { Accept: "image/png", "Content-Type": body.type };
    if (this.token) headers["Authorization"] = `Bearer ${this.token}`;
    for (let tries = 1; ; tries++) {
      let answer: Response;
      try {
        answer = await fetch(address, { method: "POST", headers, body, signal: this.cancel.signal });
      } catch (error) {
        throw this.cancel.signal.aborted ? error : new PageError("The server does not answer. Is it still running?");
      }
      if (answer.ok) return answer;
      const busy = answer.status === 429 || answer.status === 503;
      if (!busy || tries === MOST_WAITS) throw new PageError(await complaint(answer));
      const seconds = Number(answer.headers.get("Retry-After")) || 1;
      await new Promise((resolve) => setTimeout(resolve, 1000 * Math.min(seconds, 10)));
    }
  }
}

/** The frame as a file: PNG, or JPEG at a quality that changes next to no class. */
async function encoded(frame: ImageData, lossless: boolean): Promise<Blob> {
  const canvas = new OffscreenCanvas(frame.width, frame.height);
  canvas.getContext("2d")?.putImageData(frame, 0, 0);
  return canvas.convertToBlob(lossless ? { type: "image/png" } : { type: "image/jpeg", quality: 0.95 });
}

async function complaint(answer: Response): Promise<string> {
  if (answer.status === 401 || answer.status === 403) return "The server wants a token: enter it beside “Runs on”.";
  const text = await answer.text();
  let said: unknown = text;
  try {
    const json = JSON.parse(text) as Record<string, unknown>;
    said = json["detail"] ?? json["error"] ?? json["message"] ?? text;
  } catch {
    // not JSON: the text itself
  }
  return `The server refused the picture (${answer.status}): ${typeof said === "string" ? said : JSON.stringify(said)}`;
}
