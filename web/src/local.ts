/* The segmenter in the browser: hands frames to worker.ts. */

import type { Provider } from "./network.ts";
import { PageError, type Request, type Segmentation, type Segmenter, type Weights } from "./segmenter.ts";
import type { FromWorker, ToWorker } from "./worker.ts";

/** Threads that WebAssembly may use: 1 unless the server isolates the page; more than 4 hardly help a small network. */
export function usableThreads(): number {
  return self.crossOriginIsolated ? Math.min(navigator.hardwareConcurrency || 1, 4) : 1;
}

/** Whether this browser gives the page a GPU. */
export async function hasWebGpu(): Promise<boolean> {
  try {
    return Boolean(await navigator.gpu?.requestAdapter());
  } catch {
    return false;
  }
}

export class LocalSegmenter implements Segmenter {
  private waiting: { resolve: (message: FromWorker) => void; reject: (error: Error) => void } | null = null;

  private closed = false;
  private last: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly where: string,
    private readonly worker: Worker,
  ) {
    worker.onmessage = ({ data }: MessageEvent<FromWorker>) => {
      const waiting = this.waiting;
      this.waiting = null;
      if (data.kind === "failed") waiting?.reject(readable(data.message, data.mendable));
      else waiting?.resolve(data);
    };
    worker.onerror = (event) => {
      event.preventDefault();
      this.waiting?.reject(readable(event.message || "the worker did not start", false));
      this.waiting = null;
    };
  }

  static async open(weights: Weights, provider: Provider, threads: number): Promise<LocalSegmenter> {
    const unit = provider === "webgpu" ? "GPU, WebGPU" : `CPU, ${threads} ${threads === 1 ? "thread" : "threads"}`;
    const worker = new Worker(new URL("worker.js", document.baseURI), { type: "module" });
    const segmenter = new LocalSegmenter(unit, worker);
    try {
      await segmenter.ask({ kind: "open", base: document.baseURI, file: weights.file, provider, threads });
    } catch (error) {
      segmenter.close();
      throw error;
    }
    return segmenter;
  }

  async segment(frame: ImageData, request: Request): Promise<Segmentation> {
    const answer = await this.ask({ kind: "segment", frame, request }, [frame.data.buffer]);
    if (answer.kind !== "result") throw new Error(`the worker answered ${answer.kind}`);
    return answer.result;
  }

  close(): void {
    this.closed = true;
    this.worker.terminate();
    this.waiting?.reject(new Closed());
    this.waiting = null;
  }

  /** One question at a time: the next waits for the answer to the one before. */
  private ask(message: ToWorker, transfer: Transferable[] = []): Promise<FromWorker> {
    const answer = this.last.then(
      () =>
        new Promise<FromWorker>((resolve, reject) => {
          if (this.closed) return reject(new Closed());
          this.waiting = { resolve, reject };
          this.worker.postMessage(message, transfer);
        }),
    );
    this.last = answer.catch(() => {});
    return answer;
  }
}

/** Of a segmenter that was closed while it worked: nothing to tell anyone. */
export class Closed extends Error {}

function readable(message: string, mendable: boolean): Error {
  if (mendable) return new PageError(message);
  if (/memory|allocat|bad_alloc|out of bounds|RangeError/i.test(message))
    return new PageError("This device's memory is full. Choose fewer lines or a smaller picture, or close other tabs.");
  return new Error(message);
}
