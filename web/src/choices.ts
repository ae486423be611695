/* What the person chooses of the network: weights, where they run, lines of its input. */

import { hasWebGpu, usableThreads } from "./local.ts";
import type { Weights } from "./segmenter.ts";
import { serverIsReady } from "./server.ts";

export type Unit = "wasm" | "webgpu" | "server";

const LIVE_LINES = 360;
const FEWER_LINES = [360, 270];

export class Choices {
  private readonly weightsList = select("weights");
  private readonly unitList = select("unit");
  private readonly linesList = select("lines");
  private readonly tokenInput = document.querySelector<HTMLInputElement>("#token")!;
  private readonly hint = document.querySelector<HTMLElement>("#unit-hint")!;
  private readonly lines = { live: LIVE_LINES, still: 0 }; // 0: as the network was trained
  private live = false;
  private gpu = true; // as long as nobody asked

  /** Calls `reopen` where another segmenter is needed, `again` where the same one shall run once more. */
  constructor(
    private readonly all: Weights[],
    private readonly hasGpuRuntime: boolean,
    reopen: () => void,
    again: () => void,
  ) {
    for (const { name, bytes } of all) this.weightsList.add(new Option(`${name} (${megabytes(bytes)})`, name));
    const wanted = new URLSearchParams(location.search).get("weights");
    if (wanted && all.some(({ name }) => name === wanted)) this.weightsList.value = wanted;
    this.listLines();
    this.explain();
    this.weightsList.onchange = reopen;
    this.tokenInput.onchange = reopen;
    this.unitList.onchange = () => {
      this.explain();
      reopen();
    };
    this.linesList.onchange = () => {
      this.lines[this.live ? "live" : "still"] = Number(this.linesList.value);
      again();
    };
  }

  get weights(): Weights {
    return this.all.find(({ name }) => name === this.weightsList.value) ?? this.all[0];
  }

  get unit(): Unit {
    return this.unitList.value as Unit;
  }

  get token(): string {
    return this.tokenInput.value;
  }

  /** As many as this page may use, or as `?threads=` in its address says. */
  get threads(): number {
    const wanted = Number(new URLSearchParams(location.search).get("threads"));
    return wanted >= 1 ? Math.min(wanted, usableThreads()) : usableThreads();
  }

  get shortSide(): number {
    return Number(this.linesList.value) || this.weights.shortSide;
  }

  setLive(live: boolean): void {
    this.live = live;
    this.linesList.value = String(this.lines[live ? "live" : "still"]);
  }

  /** Adds the units that answer: a GPU, the server of this page. */
  async findUnits(): Promise<void> {
    const [gpu, server] = await Promise.all([this.hasGpuRuntime && hasWebGpu(), serverIsReady()]);
    this.gpu = gpu;
    if (gpu) this.unitList.add(new Option("this GPU (WebGPU)", "webgpu"));
    if (server) this.unitList.add(new Option("the server", "server"));
    this.explain();
  }

  private listLines(): void {
    const { shortSide } = this.weights;
    this.linesList.add(new Option(`${shortSide} lines, as trained`, "0"));
    for (const lines of FEWER_LINES.filter((lines) => lines < shortSide))
      this.linesList.add(new Option(`${lines} lines, quicker`, String(lines)));
    this.setLive(this.live);
  }

  private explain(): void {
    const remarks = [];
    if (this.unit === "wasm" && !self.crossOriginIsolated)
      remarks.push("One thread only: the server of this page does not isolate it (COOP and COEP headers).");
    if (!this.gpu && this.hasGpuRuntime) remarks.push("This browser offers no WebGPU; the CPU does it all.");
    if (this.unit === "webgpu") remarks.push("The GPU's runtime is a larger download, and its first frame is slow.");
    this.hint.textContent = remarks.join(" ");
    document.querySelector<HTMLElement>("#token-field")!.hidden = this.unit !== "server";
    document.querySelector<HTMLElement>("#privacy span")!.textContent =
      this.unit === "server"
        ? "Pictures go to the server of this page: you chose it."
        : "Your pictures never leave this browser.";
    this.linesList.disabled = this.unit === "server";
  }
}

function select(id: string): HTMLSelectElement {
  return document.querySelector<HTMLSelectElement>(`#${id}`)!;
}

export function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(1)} MB`;
}
