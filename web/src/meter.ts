/* Frames a second and milliseconds by stage: medians of the last frames. */

const STAGES = ["read", "server", "resize", "network", "upsample", "draw"] as const;
export type Stage = (typeof STAGES)[number];

const KEPT = 30; // frames
const RATE_MS = 2000; // of which the rate is taken

export class Meter {
  private readonly times = new Map<Stage, number[]>();
  private arrivals: number[] = [];
  private readonly cells = new Map<Stage, { row: HTMLElement; value: HTMLElement }>();

  constructor(
    table: HTMLElement,
    private readonly rate: HTMLElement,
  ) {
    for (const stage of STAGES) {
      const row = table.querySelector<HTMLElement>(`[data-stage="${stage}"]`)!;
      this.cells.set(stage, { row, value: row.querySelector("dd")! });
    }
  }

  reset(): void {
    this.times.clear();
    this.arrivals = [];
  }

  add(timings: Partial<Record<Stage, number>>): void {
    const now = performance.now();
    this.arrivals = [...this.arrivals.filter((time) => now - time < RATE_MS), now];
    for (const stage of STAGES) {
      const time = timings[stage];
      if (time === undefined) continue;
      const kept = this.times.get(stage) ?? [];
      kept.push(time);
      if (kept.length > KEPT) kept.shift();
      this.times.set(stage, kept);
    }
  }

  /** Writes the figures; a stage that took place elsewhere is left out. */
  tell(live: boolean): void {
    for (const [stage, { row, value }] of this.cells) {
      const kept = this.times.get(stage);
      row.hidden = !kept;
      if (kept) value.textContent = median(kept).toFixed(1);
    }
    const [first, last] = [this.arrivals[0], this.arrivals[this.arrivals.length - 1]];
    const seconds = (last - first) / 1000;
    this.rate.hidden = !live || seconds < 0.2;
    this.rate.querySelector("strong")!.textContent = ((this.arrivals.length - 1) / seconds).toFixed(1);
  }
}

export function median(values: number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
