/* Where frames come from: a picture, a video, a camera. */

import { pixelsOf, pixelsOfVideo } from "./pixels.ts";
import { PageError } from "./segmenter.ts";

const MOST_MEGAPIXELS = 40; // what a phone's browser has memory for

export interface Source {
  readonly live: boolean; // frames follow each other without being asked for
  readonly title: string; // of files that are made of it
  readonly video: HTMLVideoElement | null; // what can be paused
  readMs: number; // how long it took to get the last frame's pixels
  /** The next frame: waits until there is a new one, or until `refresh`. */
  next(): Promise<ImageData>;
  /** Gives the frame that is there once more. */
  refresh(): void;
  close(): void;
}

/** A promise that others fulfil. */
class Bell {
  private resolve: () => void = () => {};
  rung: Promise<void> = Promise.resolve();

  constructor(rings: boolean) {
    if (!rings) this.reset();
  }

  ring(): void {
    this.resolve();
  }

  reset(): void {
    this.rung = new Promise((resolve) => (this.resolve = resolve));
  }
}

export class PictureSource implements Source {
  readonly live = false;
  readonly video = null;
  readMs = 0;
  private readonly bell = new Bell(true);

  private constructor(
    readonly title: string,
    private readonly picture: ImageBitmap,
  ) {}

  static async open(file: Blob, title: string): Promise<PictureSource> {
    let picture: ImageBitmap;
    try {
      picture = await createImageBitmap(file, { colorSpaceConversion: "none", premultiplyAlpha: "none" });
    } catch {
      throw new PageError(`“${title}” is no picture that this browser can read. JPEG, PNG, WebP and AVIF work.`);
    }
    const megapixels = (picture.width * picture.height) / 1e6;
    if (megapixels > MOST_MEGAPIXELS) {
      picture.close();
      throw new PageError(
        `“${title}” has ${Math.round(megapixels)} megapixels, and this page takes ${MOST_MEGAPIXELS}. ` +
          "Make it smaller, or use `bcpnet predict`.",
      );
    }
    return new PictureSource(title, picture);
  }

  async next(): Promise<ImageData> {
    await this.bell.rung;
    this.bell.reset();
    return timed(this, () => pixelsOf(this.picture, this.picture.width, this.picture.height));
  }

  refresh(): void {
    this.bell.ring();
  }

  close(): void {
    this.picture.close();
  }
}

/** A video file or a camera, played in a hidden element. */
export class VideoSource implements Source {
  readonly live = true;
  private readonly bell = new Bell(true);
  readMs = 0;
  private closed = false;

  private constructor(
    readonly title: string,
    readonly video: HTMLVideoElement,
    private readonly release: () => void,
  ) {
    this.watch();
  }

  /** A file that the person chose, or one beside the page. */
  static async openFile(file: Blob, title: string, video: HTMLVideoElement): Promise<VideoSource> {
    const address = URL.createObjectURL(file);
    video.srcObject = null;
    video.src = address;
    video.loop = true;
    try {
      await started(video);
    } catch {
      URL.revokeObjectURL(address);
      throw new PageError(`“${title}” is no video that this browser can play. MP4 (H.264) and WebM work in most.`);
    }
    return new VideoSource(title, video, () => URL.revokeObjectURL(address));
  }

  static async openCamera(video: HTMLVideoElement): Promise<VideoSource> {
    const stream = await cameraStream();
    const release = () => stream.getTracks().forEach((track) => track.stop());
    video.removeAttribute("src");
    video.srcObject = stream;
    try {
      await started(video);
    } catch {
      release();
      throw new PageError("The camera sends no picture. Does another program use it?");
    }
    return new VideoSource("camera", video, release);
  }

  /** The frame that is shown: at once, if it is another one than the last time. */
  async next(): Promise<ImageData> {
    await this.bell.rung;
    this.bell.reset();
    return timed(this, () => pixelsOfVideo(this.video));
  }

  /** Rings at each frame that the video shows, also while nobody waits for it. */
  private watch(): void {
    const { video } = this;
    const ask = (then: () => void) =>
      "requestVideoFrameCallback" in video ? video.requestVideoFrameCallback(then) : requestAnimationFrame(then);
    const shown = () => {
      if (this.closed) return;
      this.bell.ring();
      ask(shown);
    };
    ask(shown);
  }

  refresh(): void {
    this.bell.ring();
  }

  close(): void {
    this.closed = true;
    this.video.pause();
    this.video.srcObject = null;
    this.video.removeAttribute("src");
    this.video.load();
    this.release();
  }
}

async function timed(source: Source, read: () => ImageData | Promise<ImageData>): Promise<ImageData> {
  const began = performance.now();
  const frame = await read();
  source.readMs = performance.now() - began;
  return frame;
}

function started(video: HTMLVideoElement): Promise<void> {
  return new Promise((resolve, reject) => {
    video.onloadeddata = () => resolve();
    video.onerror = () => reject(new Error("cannot be played"));
    video.play().catch(reject);
  });
}

async function cameraStream(): Promise<MediaStream> {
  if (!navigator.mediaDevices?.getUserMedia)
    throw new PageError("Browsers give cameras only to pages under https:// or on localhost. Open a file instead.");
  const size = { width: { ideal: 640 }, height: { ideal: 360 } }; // what the network takes: nothing to resize
  try {
    return await navigator.mediaDevices.getUserMedia({ video: { facingMode: { ideal: "environment" }, ...size } });
  } catch (error) {
    const name = error instanceof DOMException ? error.name : "";
    if (name === "NotAllowedError")
      throw new PageError("The camera is not allowed here. Allow it in the browser's address bar, then try again.");
    if (name === "NotFoundError") throw new PageError("No camera was found. Plug one in, or open a file.");
    throw new PageError("The camera could not be opened. Does another program use it?");
  }
}
