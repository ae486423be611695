/* The classes: colour, name, share of the picture. Pointing at one, or reaching it by keyboard, highlights it. */

import type { Weights } from "./segmenter.ts";

interface Row {
  button: HTMLButtonElement;
  share: HTMLElement;
  fill: HTMLElement;
}

export class Legend {
  private rows: Row[] = [];
  private pinned: number | null = null;

  constructor(
    private readonly list: HTMLElement,
    private readonly highlight: (label: number | null) => void,
  ) {}

  setWeights(weights: Weights): void {
    this.pinned = null;
    this.rows = weights.classes.map((name, label) => this.makeRow(name, weights.colours[label], label));
    this.list.replaceChildren(
      ...this.rows.map(({ button }) => {
        const item = document.createElement("li");
        item.append(button);
        return item;
      }),
    );
  }

  /** Shares of the pixels, 0 to 1, one for each class. */
  setShares(shares: number[]): void {
    shares.forEach((share, label) => {
      const row = this.rows[label];
      row.share.textContent = percent(share);
      row.fill.style.transform = `scaleX(${share})`;
      row.button.classList.toggle("absent", share === 0);
    });
  }

  /** Marks the class under the pointer in the picture. */
  mark(label: number | null): void {
    this.rows.forEach(({ button }, index) => button.classList.toggle("marked", index === label));
  }

  private makeRow(name: string, [red, green, blue]: [number, number, number], label: number): Row {
    const button = document.createElement("button");
    button.type = "button";
    button.style.setProperty("--colour", `rgb(${red} ${green} ${blue})`);
    button.setAttribute("aria-pressed", "false");
    const [swatch, word, share, track, fill] = ["swatch", "name", "share", "track", "fill"].map((kind) => {
      const element = document.createElement("span");
      element.className = kind;
      return element;
    });
    word.textContent = name;
    share.textContent = "–";
    track.append(fill);
    button.append(swatch, word, share, track);
    button.onpointerenter = button.onfocus = () => this.highlight(label);
    button.onpointerleave = button.onblur = () => this.highlight(this.pinned);
    button.onclick = () => this.pin(this.pinned === label ? null : label);
    return { button, share, fill };
  }

  private pin(label: number | null): void {
    this.pinned = label;
    this.rows.forEach(({ button }, index) => button.setAttribute("aria-pressed", String(index === label)));
    this.highlight(label);
  }
}

/** Shares of the classes in a class map. */
export function sharesOf(classMap: Uint8Array, classes: number): number[] {
  const counts = new Uint32Array(256);
  for (let i = 0; i < classMap.length; i++) counts[classMap[i]]++;
  return Array.from(counts.subarray(0, classes), (count) => count / classMap.length);
}

export function percent(share: number): string {
  if (share > 0 && share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(1)} %`;
}
