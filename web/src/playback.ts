/* Pause and position of a video. */

const controls = document.querySelector<HTMLElement>("#playback")!;
const pause = document.querySelector<HTMLButtonElement>("#pause")!;
const seek = document.querySelector<HTMLInputElement>("#seek")!;

/** Shows the controls that a video has; null = none. */
export function control(video: HTMLVideoElement | null): void {
  controls.hidden = !video;
  seek.hidden = !video || !Number.isFinite(video.duration);
  if (!video) return;
  const tell = () => {
    pause.classList.toggle("paused", video.paused);
    pause.setAttribute("aria-label", video.paused ? "Play" : "Pause");
  };
  tell();
  video.onplay = video.onpause = tell;
  pause.onclick = () => void (video.paused ? video.play() : video.pause());
  seek.max = String(video.duration || 1);
  seek.oninput = () => (video.currentTime = Number(seek.value));
  video.ontimeupdate = () => {
    if (document.activeElement !== seek) seek.value = String(video.currentTime);
  };
}
