/* The pixels of a picture or a video. */

import { PageError } from "./segmenter.ts";

let canvas: OffscreenCanvas | null = null;

/** RGBA bytes, as they are stored in the file. */
export function pixelsOf(picture: ImageBitmap | HTMLVideoElement, width: number, height: number): ImageData {
  if (canvas?.width !== width || canvas.height !== height) canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  if (!context) throw new PageError(`No memory is left for a picture of ${width} x ${height}. Try a smaller one.`);
  context.globalCompositeOperation = "copy"; // what was there before does not shine through
  context.drawImage(picture, 0, 0, width, height);
  return context.getImageData(0, 0, width, height);
}

/** As `pixelsOf`, of the frame that a video shows. */
export async function pixelsOfVideo(video: HTMLVideoElement): Promise<ImageData> {
  const { videoWidth: width, videoHeight: height } = video;
  return (await copied(video, width, height)) ?? pixelsOf(video, width, height);
}

/** Past the canvas: where it draws without a GPU, Chromium keeps the memory of every frame. null = not possible. */
async function copied(video: HTMLVideoElement, width: number, height: number): Promise<ImageData | null> {
  if (typeof VideoFrame !== "function") return null;
  let frame: VideoFrame | null = null;
  try {
    frame = new VideoFrame(video);
    const { rotation, flip } = frame as VideoFrame & { rotation?: number; flip?: boolean }; // newer than the types
    const rect = frame.visibleRect;
    if (rotation !== 0 || flip || rect?.width !== width || rect.height !== height) return null;
    const data = new Uint8ClampedArray(4 * width * height);
    await frame.copyTo(data, { format: "RGBA" });
    return new ImageData(data, width, height);
  } catch {
    return null; // no such format here
  } finally {
    frame?.close();
  }
}
