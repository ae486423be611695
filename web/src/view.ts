/* The picture with its classes over it, and what lies under the pointer. */

import type { Segmentation } from "./segmenter.ts";

export type Mode = "classes" | "confidence";
type Colour = [number, number, number];

const UNSURE: Colour = [255, 106, 0];
const DIMMED = 48; // opacity of the other classes while one is pointed at
const STEP = 0.02; // of the picture, for an arrow key

export interface Probed {
  label: number;
  confidence: number | null; // 0 to 1
}

export class View {
  private readonly below: CanvasRenderingContext2D;
  private readonly above: CanvasRenderingContext2D;
  private image: ImageData | null = null;
  private result: Segmentation | null = null;
  private colours: Colour[] = [];
  private at: { x: number; y: number } | null = null; // of the pointer, 0 to 1
  private highlighted: number | null = null;
  private mode: Mode = "classes";
  private frames = 0;

  constructor(
    private readonly stage: HTMLElement,
    private readonly tip: HTMLElement,
    private readonly probe: (probed: Probed | null) => string,
  ) {
    const [picture, overlay] = stage.querySelectorAll("canvas");
    this.below = picture.getContext("2d", { alpha: false })!;
    this.above = overlay.getContext("2d")!;
    stage.addEventListener("pointermove", (event) => this.pointAt(event));
    stage.addEventListener("pointerdown", (event) => this.pointAt(event));
    stage.addEventListener("pointerleave", () => this.moveTo(null));
    stage.addEventListener("keydown", (event) => this.moveByKey(event));
    stage.addEventListener("blur", () => this.moveTo(null));
  }

  get last(): Segmentation | null {
    return this.result;
  }

  setColours(colours: Colour[]): void {
    this.colours = colours;
  }

  setOpacity(opacity: number): void {
    this.above.canvas.style.opacity = String(opacity);
  }

  setMode(mode: Mode): void {
    this.mode = mode;
    this.stage.classList.toggle("grey", mode === "confidence");
    this.paint();
  }

  highlight(label: number | null): void {
    if (label === this.highlighted) return;
    this.highlighted = label;
    this.paint();
  }

  /** Draws a result. */
  show(result: Segmentation): void {
    this.result = result;
    const { frame } = result;
    const { width, height } = frame;
    for (const { canvas } of [this.below, this.above])
      if (canvas.width !== width || canvas.height !== height) {
        canvas.width = width;
        canvas.height = height;
        this.stage.style.setProperty("--aspect", String(width / height));
      }
    this.below.putImageData(frame, 0, 0);
    this.paint();
    this.tell();
    this.stage.dataset["frames"] = String(++this.frames); // for who waits for a result from outside
  }

  /** The picture under the colours of its classes, as a PNG file. */
  async overlayFile(): Promise<Blob> {
    const { width, height } = this.below.canvas;
    const canvas = new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d")!;
    if (this.mode === "confidence") context.filter = "grayscale(1)";
    context.drawImage(this.below.canvas, 0, 0);
    context.filter = "none";
    context.globalAlpha = Number(this.above.canvas.style.opacity);
    context.drawImage(this.above.canvas, 0, 0);
    return canvas.convertToBlob({ type: "image/png" });
  }

  private paint(): void {
    if (!this.result) return;
    const { frame, classMap, confidence } = this.result;
    const { width, height } = frame;
    if (this.image?.width !== width || this.image.height !== height) this.image = new ImageData(width, height);
    const pixels = new Uint32Array(this.image.data.buffer);
    const values = this.mode === "confidence" ? confidence : classMap;
    if (values) {
      const table = this.mode === "confidence" ? confidenceTable() : this.classTable();
      for (let i = 0; i < pixels.length; i++) pixels[i] = table[values[i]];
    } else pixels.fill(0);
    this.above.putImageData(this.image, 0, 0);
  }

  private classTable(): Uint32Array {
    const table = new Uint32Array(256);
    this.colours.forEach((colour, label) => {
      table[label] = packed(colour, this.highlighted === null || this.highlighted === label ? 255 : DIMMED);
    });
    return table;
  }

  private pointAt(event: PointerEvent): void {
    const box = this.above.canvas.getBoundingClientRect();
    this.moveTo({ x: (event.clientX - box.left) / box.width, y: (event.clientY - box.top) / box.height });
  }

  private moveByKey(event: KeyboardEvent): void {
    const steps: Record<string, [number, number]> = {
      ArrowLeft: [-STEP, 0],
      ArrowRight: [STEP, 0],
      ArrowUp: [0, -STEP],
      ArrowDown: [0, STEP],
    };
    const step = steps[event.key];
    if (!step) return;
    event.preventDefault();
    const { x, y } = this.at ?? { x: 0.5, y: 0.5 };
    const within = (value: number) => Math.min(Math.max(value, 0), 0.999);
    this.moveTo({ x: within(x + step[0]), y: within(y + step[1]) });
  }

  private moveTo(at: { x: number; y: number } | null): void {
    this.at = at && at.x >= 0 && at.x < 1 && at.y >= 0 && at.y < 1 ? at : null;
    this.tell();
  }

  /** Names the class under the pointer, beside it. */
  private tell(): void {
    const probed = this.at && this.result ? this.under(this.result, this.at) : null;
    this.tip.hidden = !probed;
    const text = this.probe(probed);
    if (!probed || !this.at) return;
    if (this.tip.textContent !== text) this.tip.textContent = text;
    this.tip.style.left = `${100 * this.at.x}%`;
    this.tip.style.top = `${100 * this.at.y}%`;
    this.tip.classList.toggle("leftwards", this.at.x > 0.7);
    this.tip.classList.toggle("below", this.at.y < 0.15);
  }

  private under({ frame, classMap, confidence }: Segmentation, at: { x: number; y: number }): Probed {
    const { width, height } = frame;
    const pixel = Math.floor(at.y * height) * width + Math.floor(at.x * width);
    return { label: classMap[pixel], confidence: confidence ? confidence[pixel] / 255 : null };
  }
}

/** As a canvas keeps it in memory, on the little-endian processors that browsers run on. */
function packed([red, green, blue]: Colour, opacity: number): number {
  return ((opacity << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** The less sure, the more colour; all of it from one half on. */
function confidenceTable(): Uint32Array {
  return Uint32Array.from({ length: 256 }, (_, sure) => packed(UNSURE, Math.min(255, 2 * (255 - sure))));
}
