/* The page's loop over frames for test_runner.py, with a source and a segmenter that note what is asked of them. */

import { Runner } from "../../web/src/runner.ts";
import type { Segmentation, Segmenter } from "../../web/src/segmenter.ts";
import type { Source } from "../../web/src/source.ts";

/** What happened until `frames` were shown; `waits`: the source has its next frame only once the last one was shown. */
async function events(frames: number, waits: boolean, failsAt: number): Promise<string[]> {
  const noted: string[] = [];
  let asked = 0;
  let shown: () => void = () => {};
  let isShown = Promise.resolve();
  const source = {
    readMs: 1,
    async next() {
      if (waits) await isShown;
      isShown = new Promise((resolve) => (shown = resolve));
      return asked++;
    },
  } as unknown as Source;
  const segmenter = {
    async segment(frame: unknown) {
      noted.push(`segment ${frame}`);
      if (frame === failsAt) throw new Error(`failed ${frame}`);
      return { frame, timings: {} };
    },
  } as unknown as Segmenter;
  await new Promise<void>((resolve) => {
    const show = (result: Segmentation) => {
      noted.push(`show ${result.frame}`);
      shown();
      if (noted.filter((event) => event.startsWith("show")).length < frames) return;
      runner.stop();
      resolve();
    };
    const fail = (error: unknown) => {
      noted.push(String(error));
      resolve();
    };
    const runner = new Runner(show, fail);
    void runner.run(source, segmenter, () => ({ shortSide: 8, confidence: false, lossless: false }));
  });
  return noted;
}

process.on("unhandledRejection", (error) => console.error(error));
const results = [await events(3, false, -1), await events(3, true, -1), await events(9, false, 2)];
console.log(JSON.stringify(results));
