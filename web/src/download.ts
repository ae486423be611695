/* Files that the page gives. */

/** Offers a file to the person, by its name. */
export function download(file: Blob, name: string): void {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** "street.final.jpg" -> "street.final" */
export function stem(name: string): string {
  return name.replace(/\.[^.]*$/, "") || "picture";
}
