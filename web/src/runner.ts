/* Takes frames from a source through a segmenter to the screen, one after the other, the newest each time. */

import { Closed } from "./local.ts";
import type { Request, Segmentation, Segmenter } from "./segmenter.ts";
import type { Source } from "./source.ts";

export class Runner {
  private turn = 0;

  constructor(
    private readonly show: (result: Segmentation) => void,
    private readonly fail: (error: unknown) => void,
  ) {}

  /** Runs until `stop`, another `run`, or an error. */
  async run(source: Source, segmenter: Segmenter, request: () => Request): Promise<void> {
    const turn = ++this.turn;
    const begin = async () => {
      const frame = await source.next();
      if (turn !== this.turn) throw new Closed();
      const { readMs } = source;
      const result = await segmenter.segment(frame, request());
      result.timings.read = readMs;
      return result;
    };
    try {
      for (let next = begin(); turn === this.turn; ) {
        const result = await next;
        if (turn !== this.turn) return;
        next = begin(); // the next frame is on its way while this one is drawn
        next.catch(() => {}); // told when it is awaited
        this.show(result);
      }
    } catch (error) {
      if (turn === this.turn && !(error instanceof Closed)) this.fail(error);
    }
  }

  stop(): void {
    this.turn++;
  }
}
