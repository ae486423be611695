/* What the page tells: what it waits for, what went wrong. */

import { PageError } from "./segmenter.ts";

const error = document.querySelector<HTMLElement>("#error")!;
const busy = document.querySelector<HTMLElement>("#busy")!;
const busyText = document.querySelector<HTMLElement>("#busy-text")!;

/** Shows what is waited for; null = nothing. */
export function wait(text: string | null): void {
  busy.hidden = text === null;
  if (text !== null) busyText.textContent = text;
}

export function complain(what: unknown): void {
  wait(null);
  const message = what instanceof Error ? what.message : String(what);
  if (!(what instanceof PageError)) console.error(what);
  error.textContent = what instanceof PageError ? message : `Something went wrong: ${message}`;
  error.hidden = false;
  error.scrollIntoView({ block: "nearest" });
}

export function calm(): void {
  error.hidden = true;
}

/** Words for a browser that lacks what the page is built on; null = it has all. */
export function missing(): string | null {
  if (typeof WebAssembly !== "object")
    return "This browser has no WebAssembly. A current Chrome, Edge, Firefox or Safari has it.";
  if (typeof OffscreenCanvas !== "function" || typeof CompressionStream !== "function")
    return "This browser is too old for this page. Use Chrome 105, Firefox 113, Safari 16.4, or later.";
  return null;
}
