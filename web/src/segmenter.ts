/* What the page asks for and what it gets, whoever computes it: the browser (local.ts) or a server (server.ts). */

/** Weights that the page offers; build.mjs makes these of what the package ships. */
export interface Weights {
  name: string;
  file: string;
  bytes: number;
  shortSide: number; // lines the network was trained for
  classes: string[];
  colours: [number, number, number][];
}

/** What lies beside the page: models.json. */
export interface Models {
  weights: Weights[];
  runtimeBytes: number; // of the CPU's runtime
  webgpu: boolean; // whether the GPU's is there, too
}

export interface Request {
  shortSide: number; // lines of the network's input
  confidence: boolean;
  lossless: boolean; // where the frame travels to a server; a live one may lose a little
}

/** Milliseconds: pixels out of the frame, and the three stages of `bcpnet predict`, or the answer of a server. */
export interface Timings {
  read: number;
  server: number;
  resize: number;
  network: number;
  upsample: number;
}

export interface Segmentation {
  frame: ImageData; // the one that was given
  classMap: Uint8Array; // one id a pixel
  confidence: Uint8Array | null; // 255 = certain; null: not asked for, or not to be had
  timings: Partial<Timings>;
}

export interface Segmenter {
  readonly where: string; // in words, for people
  /** One frame at a time; takes the frame over and gives it back in the result. */
  segment(frame: ImageData, request: Request): Promise<Segmentation>;
  close(): void;
}

/** Something a person can mend; its message says how. */
export class PageError extends Error {}
