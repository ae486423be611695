/* Takes frames from a source through a segmenter to the screen, one after the other, the newest each time. */

import { Closed } from "./local.ts";
import type { Request, Segmentation, Segmenter } from "./segmenter.ts";
import type { Source } from "./source.ts";

const READ_MS = 5; // that it takes, at most, to read a frame that is there

export class Runner {
  private turn = 0;

  constructor(
    private readonly show: (result: Segmentation) => void,
    private readonly fail: (error: unknown) => void,
  ) {}

  /** Runs until `stop`, another `run`, or an error. */
  async run(source: Source, segmenter: Segmenter, request: () => Request): Promise<void> {
    const turn = ++this.turn;
    const send = async () => {
      const frame = await source.next();
      if (turn !== this.turn) throw new Closed();
      const { readMs } = source;
      return { readMs, working: quiet(segmenter.segment(frame, request())) };
    };
    try {
      for (let sent = send(); turn === this.turn; ) {
        const { readMs, working } = await sent;
        const result = await working;
        result.timings.read = readMs;
        if (turn !== this.turn) return;
        sent = quiet(send());
        // Where the next frame is there already, it is worked on while this one is drawn.
        await Promise.race([sent.catch(() => {}), pause(READ_MS)]);
        if (turn === this.turn) this.show(result);
      }
    } catch (error) {
      if (turn === this.turn && !(error instanceof Closed)) this.fail(error);
    }
  }

  stop(): void {
    this.turn++;
  }
}

/** A promise whose error is told where it is awaited, however late that is. */
function quiet<T>(promise: Promise<T>): Promise<T> {
  promise.catch(() => {});
  return promise;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
