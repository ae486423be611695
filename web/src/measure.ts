/* Times the worker alone, for tools/measure_web.py: no screen, no camera. */

import { LocalSegmenter, usableThreads } from "./local.ts";
import { pixelsOf } from "./pixels.ts";
import type { Segmentation, Weights } from "./segmenter.ts";

interface Task {
  weights: string;
  threads: number;
  shortSide: number;
  pictures: string[]; // files, base64
  frames: number;
  leftOut: number; // frames before the first that counts: the browser compiles while they run
}

/** Milliseconds by stage of each frame. */
export async function measure(task: Task): Promise<{ threads: number; timings: Segmentation["timings"][] }> {
  const threads = Math.min(task.threads, usableThreads());
  const listed = (await (await fetch(new URL("models.json", document.baseURI))).json()) as { weights: Weights[] };
  const weights = listed.weights.find(({ name }) => name === task.weights);
  if (!weights) throw new Error(`no weights ${task.weights}`);
  const pictures = await Promise.all(task.pictures.map(decoded));
  const segmenter = await LocalSegmenter.open(weights, "wasm", threads);
  const timings: Segmentation["timings"][] = [];
  for (let i = 0; i < task.leftOut + task.frames; i++) {
    const picture = pictures[i % pictures.length];
    const began = performance.now();
    const frame = pixelsOf(picture, picture.width, picture.height);
    const read = performance.now() - began;
    const request = { shortSide: task.shortSide, confidence: false, lossless: false };
    const result = await segmenter.segment(frame, request);
    if (i >= task.leftOut) timings.push({ ...result.timings, read });
  }
  segmenter.close();
  return { threads, timings };
}

function decoded(base64: string): Promise<ImageBitmap> {
  const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));
  return createImageBitmap(new Blob([bytes]));
}
