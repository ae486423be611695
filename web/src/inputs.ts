/* How pictures come in: a file chosen, dropped or pasted. */

/** Calls `take` with each file that the person gives. */
export function onFile(take: (file: File) => void): void {
  const input = document.querySelector<HTMLInputElement>("#file")!;
  const drop = document.querySelector<HTMLElement>("#drop")!;
  for (const id of ["open", "open-first"])
    document.querySelector<HTMLElement>(`#${id}`)!.onclick = () => input.click();
  input.onchange = () => {
    if (input.files?.[0]) take(input.files[0]);
    input.value = ""; // the same file may be chosen again
  };
  let depth = 0; // of elements that the dragged file is over
  document.addEventListener("dragenter", () => (drop.hidden = ++depth === 0));
  document.addEventListener("dragleave", () => (drop.hidden = --depth === 0));
  document.addEventListener("dragover", (event) => event.preventDefault());
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    depth = 0;
    drop.hidden = true;
    const file = event.dataTransfer?.files[0];
    if (file) take(file);
  });
  document.addEventListener("paste", (event) => {
    const file = event.clipboardData?.files[0];
    if (file) take(file);
  });
}
