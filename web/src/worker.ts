/* Runs beside the page: everything from a frame to its class map, so that the page never waits for it. */

import { confidence } from "./confidence.ts";
import { Network, type Provider } from "./network.ts";
import { networkSize, preprocess } from "./resize.ts";
import { PageError, type Request, type Segmentation } from "./segmenter.ts";
import { upsampleArgmax } from "./upsample.ts";

export type ToWorker =
  | { kind: "open"; base: string; file: string; provider: Provider; threads: number }
  | { kind: "segment"; frame: ImageData; request: Request };

export type FromWorker =
  | { kind: "ready" }
  | { kind: "result"; result: Segmentation }
  | { kind: "failed"; message: string; mendable: boolean };

let network: Network;

async function segment(frame: ImageData, request: Request): Promise<Segmentation> {
  const { width, height } = frame;
  const started = performance.now();
  const size = networkSize(width, height, request.shortSide);
  const rgb = preprocess(frame.data, width, height, size.width, size.height);
  const resized = performance.now();
  const logits = await network.run(rgb, size.height, size.width);
  const ran = performance.now();
  const classMap = upsampleArgmax(logits, height, width);
  const sure = request.confidence ? confidence(logits, classMap, height, width) : null;
  const timings = {
    resize: resized - started,
    network: ran - resized,
    upsample: performance.now() - ran,
  };
  return { frame, classMap, confidence: sure, timings };
}

function post(message: FromWorker, transfer: Transferable[] = []): void {
  self.postMessage(message, { transfer });
}

self.onmessage = async ({ data }: MessageEvent<ToWorker>) => {
  try {
    if (data.kind === "open") {
      network = await Network.open(data.base, data.file, data.provider, data.threads);
      post({ kind: "ready" });
    } else {
      const result = await segment(data.frame, data.request);
      const buffers = [result.classMap.buffer, ...(result.confidence ? [result.confidence.buffer] : [])];
      post({ kind: "result", result }, [result.frame.data.buffer, ...buffers]);
    }
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    post({ kind: "failed", message, mendable: error instanceof PageError });
  }
};
