/* The page: joins source, segmenter and screen. */

import { Choices, megabytes } from "./choices.ts";
import { download, stem } from "./download.ts";
import { onFile } from "./inputs.ts";
import { Legend, percent, sharesOf } from "./legend.ts";
import { LocalSegmenter } from "./local.ts";
import { Meter } from "./meter.ts";
import { calm, complain, missing, wait } from "./notices.ts";
import { control } from "./playback.ts";
import { encodeGreyPng } from "./png.ts";
import { Runner } from "./runner.ts";
import type { Models, Request, Segmentation, Segmenter } from "./segmenter.ts";
import { ServerSegmenter } from "./server.ts";
import { PictureSource, type Source, VideoSource } from "./source.ts";
import { type Mode, View } from "./view.ts";

const TOLD_EVERY_MS = 250; // figures that change faster cannot be read

const find = <T extends HTMLElement>(selector: string): T => document.querySelector<T>(selector)!;

class App {
  private source: Source | null = null;
  private segmenter: Promise<Segmenter> | null = null;
  private mode: Mode = "classes";
  private toldAt = 0;
  private readonly choices: Choices;
  private readonly meter = new Meter(find("#stages"), find("#rate"));
  private readonly runner = new Runner((result) => this.show(result), (error) => this.fail(error));
  private readonly legend = new Legend(find("#legend"), (label) => this.view.highlight(label));
  private readonly view = new View(find("#stage"), find("#tip"), (probed) => {
    this.legend.mark(probed?.label ?? null);
    if (!probed) return "";
    const name = this.choices.weights.classes[probed.label];
    return probed.confidence === null ? name : `${name} ${Math.round(100 * probed.confidence)} %`;
  });

  constructor({ weights, runtimeBytes, webgpu }: Models) {
    this.choices = new Choices(weights, webgpu, () => void this.reopen(), () => this.again());
    this.useWeights();
    find("#class-names").textContent = listed(weights[0].classes);
    find("#download").textContent = megabytes(runtimeBytes + weights[0].bytes);
    onFile((file) => void this.open(() => openFile(file)));
    for (const id of ["#camera", "#camera-first"])
      find(id).onclick = () => void this.open(() => VideoSource.openCamera(video));
    find("#example").onclick = () => void this.open(openExample);
    const opacity = find<HTMLInputElement>("#opacity");
    opacity.oninput = () => this.view.setOpacity(Number(opacity.value));
    this.view.setOpacity(Number(opacity.value));
    for (const radio of document.querySelectorAll<HTMLInputElement>("[name=mode]"))
      radio.onchange = () => this.setMode(radio.value as Mode);
    find("#save-map").onclick = () => void this.saveClassMap();
    find("#save-overlay").onclick = () => void this.saveOverlay();
    void this.choices.findUnits();
  }

  /** Another source; the one before goes on where it cannot be opened. */
  private async open(opening: () => Promise<Source>): Promise<void> {
    calm();
    this.runner.stop();
    this.source?.close();
    this.source = null;
    find("#welcome").hidden = true;
    find("#stage").hidden = find("#bar").hidden = false;
    wait("Opening");
    try {
      this.source = await opening();
    } catch (error) {
      control(null);
      return this.fail(error);
    }
    control(this.source.video);
    this.choices.setLive(this.source.live);
    this.meter.reset();
    await this.start();
  }

  /** Other weights, or another unit to run them on. */
  private async reopen(): Promise<void> {
    calm();
    this.runner.stop();
    this.segmenter?.then((segmenter) => segmenter.close()).catch(() => {}); // it told what failed
    this.segmenter = null;
    this.useWeights();
    this.meter.reset();
    if (this.source) await this.start();
  }

  private async start(): Promise<void> {
    const { source } = this;
    if (!source) return;
    const opening = (this.segmenter ??= this.openSegmenter());
    let segmenter: Segmenter;
    try {
      segmenter = await opening;
    } catch (error) {
      if (opening !== this.segmenter) return;
      this.segmenter = null;
      return this.fail(error);
    }
    if (source !== this.source || opening !== this.segmenter) return; // another one was chosen meanwhile
    find("#where").textContent = segmenter.where;
    wait(source.live ? "First frame" : "Segmenting");
    source.refresh();
    await this.runner.run(source, segmenter, () => this.request());
  }

  private async openSegmenter(): Promise<Segmenter> {
    const { weights, unit, token, threads } = this.choices;
    if (unit === "server") return new ServerSegmenter(weights, token);
    wait(`Loading ${weights.name}`);
    return LocalSegmenter.open(weights, unit, threads);
  }

  private request(): Request {
    const live = this.source?.live ?? false;
    const { shortSide } = this.choices;
    return { shortSide, confidence: !live || this.mode === "confidence", lossless: !live };
  }

  /** The frame that is there once more, as other lines or the confidence are asked for. */
  private again(): void {
    this.meter.reset();
    this.source?.refresh();
  }

  private show(result: Segmentation): void {
    const started = performance.now();
    wait(null);
    this.view.show(result);
    this.meter.add({ ...result.timings, draw: performance.now() - started });
    const live = this.source?.live ?? false;
    if (live && started - this.toldAt < TOLD_EVERY_MS) return;
    this.toldAt = started;
    const { classes } = this.choices.weights;
    const shares = sharesOf(result.classMap, classes.length);
    this.legend.setShares(shares);
    this.meter.tell(live);
    find("#speed").hidden = false;
    this.tellConfidence(result);
    find("#stage canvas").ariaLabel = described(classes, shares);
    for (const id of ["#save-map", "#save-overlay"]) find<HTMLButtonElement>(id).disabled = false;
  }

  private tellConfidence({ confidence }: Segmentation): void {
    find("#scale").hidden = this.mode !== "confidence";
    const mean = confidence && confidence.reduce((sum, sure) => sum + sure, 0) / confidence.length / 255;
    find("#mean").textContent = mean ? `mean ${percent(mean)}` : "";
  }

  private setMode(mode: Mode): void {
    this.mode = mode;
    this.view.setMode(mode);
    const { last } = this.view;
    if (last) this.tellConfidence(last);
    if (last && !last.confidence) this.again();
  }

  private useWeights(): void {
    const { weights } = this.choices;
    this.legend.setWeights(weights);
    this.view.setColours(weights.colours);
  }

  private fail(error: unknown): void {
    complain(error);
    if (this.view.last) return;
    find("#welcome").hidden = false;
    find("#stage").hidden = find("#bar").hidden = true;
  }

  private async saveClassMap(): Promise<void> {
    const { last } = this.view;
    if (last) download(await encodeGreyPng(last.classMap, last.frame.width), `${this.source?.title ?? "picture"}.png`);
  }

  private async saveOverlay(): Promise<void> {
    download(await this.view.overlayFile(), `${this.source?.title ?? "picture"}_overlay.png`);
  }
}

const video = find<HTMLVideoElement>("#video");

function openFile(file: File): Promise<Source> {
  const title = stem(file.name);
  return file.type.startsWith("video/") ? VideoSource.openFile(file, title, video) : PictureSource.open(file, title);
}

async function openExample(): Promise<Source> {
  const answer = await fetch(new URL("example.mp4", document.baseURI));
  return VideoSource.openFile(await answer.blob(), "example", video);
}

function described(classes: string[], shares: number[]): string {
  const present = classes.map((name, label) => ({ name, share: shares[label] })).filter(({ share }) => share >= 0.005);
  present.sort((a, b) => b.share - a.share);
  return present.map(({ name, share }) => `${name} ${percent(share)}`).join(", ");
}

function listed(names: string[]): string {
  return `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`;
}

const lack = missing();
if (lack) complain(lack);
else {
  const answer = await fetch(new URL("models.json", document.baseURI));
  new App((await answer.json()) as Models);
}
